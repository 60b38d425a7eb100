"""fastfeed measured beside its rivals; ``python -m bench`` runs everything."""
