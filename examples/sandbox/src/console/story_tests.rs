//! The story of small changes.
