//! What is wrong with a configuration, and where: one [`Problem`] a mistake, all of them
//! together in [`Problems`]. Knows nothing of files or TOML.

use std::fmt;
use std::path::PathBuf;

/// Where a value, or a problem, comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file; the line counts from 1 and is missing where the whole file is meant.
    File {
        /// As it was given or found.
        path: PathBuf,
        /// Line of the key.
        line: Option<usize>,
    },
    /// An environment variable, by its name.
    Environment(String),
}

/// Whether a configuration with this problem is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is refused.
    Error,
    /// It is used, and the operator is told.
    Warning,
}

/// One thing that is wrong, in a form that points at it and says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Refused, or only told.
    pub severity: Severity,
    /// Where it is.
    pub origin: Origin,
    /// Column in characters, from 1; syntax errors alone have one.
    pub column: Option<usize>,
    /// The key with its section, as in `meter.baud`; empty where no key is meant.
    pub key: String,
    /// What is wrong and what to do. Never repeats the value of a key that could hold a
    /// secret by mistake.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

/// Every problem of a refused configuration, in the order of its files and lines.
/// Warnings are among them; at least one is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Those for which a configuration is refused, as they are told.
    pub fn errors(&self) -> Vec<String> {
        let errors = self.0.iter().filter(|problem| problem.severity == Severity::Error);
        errors.map(ToString::to_string).collect()
    }
}

impl Problem {
    /// An error with `key` at `origin`.
    pub fn error(origin: Origin, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            origin,
            column: None,
            key: key.into(),
            message: message.into(),
            suggestion: None,
        }
    }

    /// A warning about `key` at `origin`.
    pub fn warning(origin: Origin, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(origin, key, message) }
    }

    /// The same problem with what was probably meant.
    pub fn suggesting(self, suggestion: Option<String>) -> Self {
        Self { suggestion, ..self }
    }

    /// The file it is in, if it is in one.
    pub fn file(&self) -> Option<&std::path::Path> {
        match &self.origin {
            Origin::File { path, .. } => Some(path),
            Origin::Default | Origin::Environment(_) => None,
        }
    }

    /// The line it is at, if it is at one.
    pub fn line(&self) -> Option<usize> {
        match &self.origin {
            Origin::File { line, .. } => *line,
            Origin::Default | Origin::Environment(_) => None,
        }
    }
}

impl Origin {
    /// A line of a file.
    pub fn line(path: impl Into<PathBuf>, line: usize) -> Self {
        Self::File { path: path.into(), line: Some(line) }
    }

    /// A file as a whole.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into(), line: None }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}", self.origin)?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
            write!(f, ": ")?;
        }
        if self.severity == Severity::Warning {
            write!(f, "warning: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean \"{suggestion}\"?"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_place_key_mistake_and_suggestion() {
        let p = Problem::error(Origin::line("spraylog.toml", 12), "meter.bauds", "unknown key");
        assert_eq!(
            p.suggesting(Some("baud".into())).to_string(),
            "spraylog.toml:12: meter.bauds: unknown key; did you mean \"baud\"?"
        );
        let p = Problem::warning(Origin::Environment("SPRAYLOG_X".into()), "", "not a setting");
        assert_eq!(p.to_string(), "environment SPRAYLOG_X: warning: not a setting");
        let p = Problem::error(Origin::Default, "meter.serial_number", "set it");
        assert_eq!(p.to_string(), "meter.serial_number: set it");
    }
}
