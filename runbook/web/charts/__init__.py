"""Pictures drawn on the server: SVG with classes of the style sheet, no script, words for who cannot see them."""
