"""Tables that others have published, measured again here, with fastfeed in them."""
