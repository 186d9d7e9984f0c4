"""The command line: arguments to the library, answers to text or JSON."""
