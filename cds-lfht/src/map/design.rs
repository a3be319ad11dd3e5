//! How the map works, and what was tried.
