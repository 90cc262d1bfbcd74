//! Nothing: the tests of Jetway as a whole are in `it/`, and a package needs a library to hold them.
