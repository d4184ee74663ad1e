//! The picture of small clusters.
