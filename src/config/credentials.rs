//! The e-mail address and the password to sign in with. They are files, never keys, and
//! this reads them: an edge, apart from the rest of the configuration, so that no value of
//! theirs can get into it. Knows no server.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::JobCloser;

/// Bytes of one credential at most; a password manager's longest are a tenth of it.
const SECRET_MAX: u64 = 4096;
/// The names that systemd makes of `LoadCredential=jobcloser:DIR` with the files `email`
/// and `password` in it (systemd.exec(5)).
const SYSTEMD_NAMES: [&str; 2] = ["jobcloser_email", "jobcloser_password"];
const PLAIN_NAMES: [&str; 2] = ["email", "password"];

/// What sign-in needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The e-mail address.
    pub email: String,
    /// The password.
    pub password: Secret,
}

/// Text that shows itself only on request. It can't be printed or serialised by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why there are no usable credentials although there is some of them.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// One of the two is there.
    #[error("{missing} is missing, and {present} is there: sign-in needs both")]
    Half {
        /// The file that is there.
        present: PathBuf,
        /// The file that isn't.
        missing: PathBuf,
    },
    /// It is there and can't be read.
    #[error("{path}: can't be read; give it to the user that spraylog runs as")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is there and isn't one line of text.
    #[error("{path}: {wrong}: write one line of text into it")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without its content.
        wrong: &'static str,
    },
}

impl Credentials {
    /// Looks in `credentials_dir` (`$CREDENTIALS_DIRECTORY`), then at the configured
    /// paths. `None` where there is nothing: the rig records and doesn't sign in.
    ///
    /// # Errors
    /// If the first place that has anything doesn't have both, readable.
    pub fn read(
        credentials_dir: Option<&Path>,
        server: &JobCloser,
    ) -> Result<Option<Self>, CredentialsError> {
        let in_dir = |[email, password]: [&str; 2]| {
            credentials_dir.map(|dir| [dir.join(email), dir.join(password)])
        };
        let configured = [server.email_file.clone(), server.password_file.clone()];
        let places = [
            (in_dir(SYSTEMD_NAMES), false),
            (in_dir(PLAIN_NAMES), false),
            // Where systemd brings the credentials their source is root's alone, and what
            // isn't among the copies isn't there.
            (Some(configured), credentials_dir.is_some()),
        ];
        for (place, not_ours) in places {
            let Some([email_path, password_path]) = place else { continue };
            let read = |path: &Path| match read_line(path) {
                Err(err) if not_ours && err.is_denied() => Ok(None),
                read => read,
            };
            match (read(&email_path)?, read(&password_path)?) {
                (Some(email), Some(password)) => {
                    return Ok(Some(Self { email, password: Secret(password) }));
                }
                (Some(_), None) => {
                    return Err(CredentialsError::Half {
                        present: email_path,
                        missing: password_path,
                    });
                }
                (None, Some(_)) => {
                    return Err(CredentialsError::Half {
                        present: password_path,
                        missing: email_path,
                    });
                }
                (None, None) => {}
            }
        }
        Ok(None)
    }
}

impl CredentialsError {
    fn is_denied(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == ErrorKind::PermissionDenied)
    }
}

impl Secret {
    /// For tests, and for what reads a secret elsewhere.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What can be said of a credential's file without its content.
pub fn condition(path: &Path) -> &'static str {
    match read_line(path) {
        Ok(Some(_)) => "readable",
        Ok(None) => "no such file",
        Err(CredentialsError::Content { wrong, .. }) => wrong,
        Err(CredentialsError::Read { .. } | CredentialsError::Half { .. }) => {
            "can't be read by this user"
        }
    }
}

/// The file's one line; `None` where there is no file, or no path.
fn read_line(path: &Path) -> Result<Option<String>, CredentialsError> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let read = |source| CredentialsError::Read { path: path.to_path_buf(), source };
    let content = |wrong| CredentialsError::Content { path: path.to_path_buf(), wrong };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(err) => return Err(read(err)),
    };
    let mut bytes = Vec::new();
    file.take(SECRET_MAX + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > SECRET_MAX {
        return Err(content("is too long"));
    }
    let text = String::from_utf8(bytes).map_err(|_| content("isn't UTF-8"))?;
    let line = text.trim_end_matches(['\n', '\r']);
    if line.is_empty() {
        return Err(content("is empty"));
    }
    if line.chars().any(char::is_control) {
        return Err(content("has more than one line, or control characters"));
    }
    Ok(Some(line.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: &str = "hunter2-marker";

    struct Place {
        dir: tempfile::TempDir,
        server: JobCloser,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let server = JobCloser {
                email_file: dir.path().join("etc-email"),
                password_file: dir.path().join("etc-password"),
                ..JobCloser::default()
            };
            Self { dir, server }
        }

        fn with(self, name: &str, text: &str) -> Self {
            std::fs::write(self.dir.path().join(name), text).unwrap();
            self
        }

        fn read(&self) -> Result<Option<Credentials>, CredentialsError> {
            Credentials::read(Some(self.dir.path()), &self.server)
        }
    }

    #[test]
    fn the_credentials_directory_comes_before_the_configured_files() {
        let place = Place::new().with("etc-email", "etc@x\n").with("etc-password", "a\n");
        assert_eq!(place.read().unwrap().unwrap().email, "etc@x");
        let place = place.with("email", "dir@x\n").with("password", "b\r\n");
        let found = place.read().unwrap().unwrap();
        assert_eq!((found.email.as_str(), found.password.expose()), ("dir@x", "b"));
        let place = place.with("jobcloser_email", "cred@x").with("jobcloser_password", " c ");
        let found = place.read().unwrap().unwrap();
        assert_eq!((found.email.as_str(), found.password.expose()), ("cred@x", " c "));
    }

    #[test]
    fn nothing_anywhere_is_no_sign_in_and_an_empty_directory_is_nothing() {
        let place = Place::new();
        assert!(place.read().unwrap().is_none());
        assert!(Credentials::read(None, &place.server).unwrap().is_none());
        let nowhere =
            JobCloser { email_file: "".into(), password_file: "".into(), ..JobCloser::default() };
        assert!(Credentials::read(None, &nowhere).unwrap().is_none());
    }

    #[test]
    fn half_of_them_is_an_error_that_names_the_other_half() {
        let text = Place::new().with("email", "x@y").read().unwrap_err().to_string();
        assert!(text.contains("password is missing"), "{text}");
        let text = Place::new().with("etc-password", MARKER).read().unwrap_err().to_string();
        assert!(text.contains("etc-email is missing") && !text.contains(MARKER), "{text}");
    }

    #[test]
    fn a_file_that_is_not_one_line_is_told_without_its_content() {
        for bad in ["", "\n", "hunter2-marker\nhunter2-marker\n", "hunter2-marker\0"] {
            let place = Place::new().with("email", "x@y").with("password", bad);
            let err = place.read().unwrap_err();
            assert!(!format!("{err} {err:?}").contains(MARKER), "{err}");
        }
    }

    #[test]
    fn a_password_never_shows_itself() {
        let place = Place::new().with("email", "x@y").with("password", MARKER);
        let found = place.read().unwrap();
        assert!(!format!("{found:?} {found:#?}").contains(MARKER));
        assert_eq!(found.unwrap().password.to_string(), "***");
        assert_eq!(condition(&place.dir.path().join("password")), "readable");
    }
}
