"""The pictures that come with segsearch, and the tour over them."""
