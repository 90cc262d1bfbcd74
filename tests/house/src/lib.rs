//! The rules for the sources of Jetway. The tests in `it/` check them.
