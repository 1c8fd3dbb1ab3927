"""Small trained models, shipped with the package; `load` reads one by name."""
