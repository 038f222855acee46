"""Every type that crosses a seam. Trust is in the type's name: what is not verified is not called so."""
