//! Holds nothing: everything is in `it/`.
