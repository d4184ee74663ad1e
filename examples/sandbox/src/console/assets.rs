//! The files of the console's page, compiled in from `console/`.

/// Path, media type, text.
const FILES: &[(&str, &str, &str)] = &include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

/// A file by its path, with its media type.
pub fn find(path: &str) -> Option<(&'static str, &'static str)> {
    let mut files = FILES.iter();
    let (_, kind, text) = files.find(|(name, _, _)| *name == path)?;
    Some((kind, text))
}
