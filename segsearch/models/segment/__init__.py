"""Segmenters: pictures into masks. torch stays in here."""
