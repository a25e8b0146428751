//! Rust sources by their path from the workspace's root. Neither parses nor judges them.

use std::collections::BTreeMap;
use std::path::Path;

/// Texts by path, such as `src/port.rs`.
#[derive(Debug, Default)]
pub struct Sources(pub BTreeMap<String, String>);

impl Sources {
    /// Every `.rs` file below `dirs` of `root`.
    pub fn read(root: &Path, dirs: &[&str]) -> Self {
        let mut sources = Self::default();
        for dir in dirs {
            sources.walk(root, &root.join(dir));
        }
        sources
    }

    /// Made-up ones.
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect())
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> &str {
        &self.0[path]
    }

    fn walk(&mut self, root: &Path, dir: &Path) {
        let Ok(entries) = std::fs::read_dir(dir) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.walk(root, &path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                self.0.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
}
