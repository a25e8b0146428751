//! `spraylog config`: what is in force, key by key, with its meaning and who set it. Of the
//! secrets' files it shows the paths and whether they can be read, never what is in them.

use std::io::{self, Write};
use std::path::Path;

use super::check::{BAD_CONFIG, GOOD};
use crate::config::Profiles;
use crate::config::annotate::annotated;
use crate::config::credentials::condition;
use crate::config::load::load_with;

/// Prints the annotated configuration to `out`, or its problems to `err`, and returns the
/// exit code. `profiles` finds the meter's profile.
///
/// # Errors
/// If `out` or `err` can't be written to.
pub fn run(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    profiles: Profiles<'_>,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<u8> {
    let loaded = match load_with(path, env, profiles) {
        Ok(loaded) => loaded,
        Err(problems) => {
            writeln!(err, "{problems}")?;
            return Ok(BAD_CONFIG);
        }
    };
    for warning in &loaded.warnings {
        writeln!(err, "{warning}")?;
    }
    let server = &loaded.config.jobcloser;
    let text = annotated(&loaded, |key| match key.path {
        "jobcloser.email_file" => Some(condition(&server.email_file).to_string()),
        "jobcloser.password_file" => Some(condition(&server.password_file).to_string()),
        _ => None,
    });
    out.write_all(text.as_bytes())?;
    Ok(GOOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: &str = "hunter2-marker";

    #[test]
    fn every_value_says_who_set_it_and_no_secret_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spraylog.toml");
        let password = dir.path().join("password");
        std::fs::write(&password, MARKER).unwrap();
        std::fs::write(
            &path,
            format!("[jobcloser]\npassword_file = {password:?}\n[meter]\nbaud = 4800\n"),
        )
        .unwrap();
        let env = [("SPRAYLOG_LOG__LEVEL".to_string(), "debug".to_string())];
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(run(Some(&path), env, &|_| Ok(None), &mut out, &mut err).unwrap(), GOOD);
        let text = String::from_utf8(out).unwrap();
        let line =
            |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_string();
        assert!(line("baud = 4800").ends_with("spraylog.toml:4"), "{text}");
        assert!(line("level = \"debug\"").ends_with("# environment SPRAYLOG_LOG__LEVEL"), "{text}");
        assert!(line("timeout = \"30s\"").ends_with("# default"), "{text}");
        assert!(line("password_file = ").ends_with("spraylog.toml:2; readable"), "{text}");
        assert!(!text.contains(MARKER));
    }
}
