"""Search by region measured on drawn scenes in a style that no model was trained on."""
