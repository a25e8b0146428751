//! Reads the configuration's files and finds the environment's part of it: the edge of
//! this module. What they mean together is [`super::layers`].

use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::annotate;
use super::layers::{self, Layer, Loaded, Profiles};
use super::problem::{Origin, Problem, Problems};

/// Where the configuration is unless somebody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/spraylog/spraylog.toml";
/// Bytes of one file at most: a hundred times the shipped one. More is not read.
const FILE_MAX: u64 = 1 << 20;

const NO_SUCH_FILE: &str =
    "no such file: copy the shipped spraylog.toml there, or name another with --config";

/// Reads `path` (by default [`DEFAULT_PATH`]), the `*.toml` of the directory `conf.d`
/// beside it in the order of their names, and the variables `SPRAYLOG_SECTION__KEY` of
/// `env`. Each overrides what came before it.
///
/// # Errors
/// Every problem of every file and variable together. A file that isn't there is one: a
/// rig that lost its configuration must not record with somebody else's K.
pub fn load(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, Problems> {
    load_with(path, env, &|_| Ok(None))
}

/// [`load`], where the caller can find a meter's profile by its name or path.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    profiles: Profiles<'_>,
) -> Result<Loaded, Problems> {
    let env: Vec<_> = env.into_iter().collect();
    let (layers, problems) = read_layers(path_or_default(path));
    layers::merge(&layers, &env, problems, &host_name(), profiles)
}

/// The process's variables. Bytes that aren't UTF-8 become U+FFFD, which no key takes.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    })
}

/// Where the data is, as far as a configuration that may be broken still says so: the
/// environment, else the last file with a usable `device.data_dir`. There the last good
/// configuration is looked for.
pub fn data_dir_hint(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Option<PathBuf> {
    let env: Vec<_> = env.into_iter().collect();
    let (layers, _) = read_layers(path_or_default(path));
    layers::data_dir(&layers, &env)
}

/// The effective configuration as one TOML text, which by itself loads as the same again.
pub fn text_of(loaded: &Loaded) -> String {
    annotate::bare(&loaded.config)
}

pub(super) fn path_or_default(path: Option<&Path>) -> &Path {
    path.unwrap_or(Path::new(DEFAULT_PATH))
}

/// The files that could be read, and problems of the others.
fn read_layers(path: &Path) -> (Vec<Layer>, Vec<Problem>) {
    let mut layers = Vec::new();
    let mut problems = Vec::new();
    let dir = path.parent().unwrap_or(Path::new("")).join("conf.d");
    let more = names_in(&dir).unwrap_or_else(|err| {
        problems.push(whole(&dir, format!("can't be listed: {err}")));
        Vec::new()
    });
    for path in std::iter::once(path.to_path_buf()).chain(more) {
        match read_layer(&path) {
            Ok(layer) => layers.push(layer),
            Err(Problems(found)) => problems.extend(found),
        }
    }
    (layers, problems)
}

/// One file's text.
pub(super) fn read_layer(path: &Path) -> Result<Layer, Problems> {
    let refused = |message: String| Problems(vec![whole(path, message)]);
    let file = std::fs::File::open(path).map_err(|err| match err.kind() {
        ErrorKind::NotFound => refused(NO_SUCH_FILE.to_string()),
        _ => refused(format!("can't be opened: {err}")),
    })?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|err| refused(format!("can't be read: {err}")))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(refused(format!(
            "is larger than {FILE_MAX} bytes: it can't be a configuration"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|err| {
        let good = err.utf8_error().valid_up_to();
        let line = err.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        let message = "isn't UTF-8 text: save the file as UTF-8";
        Problems(vec![Problem::error(Origin::line(path, line), "", message)])
    })?;
    Ok(Layer { path: path.to_path_buf(), text })
}

fn whole(path: &Path, message: String) -> Problem {
    Problem::error(Origin::file(path), "", message)
}

/// The `*.toml` of `conf.d` by name, without hidden ones, which editors leave behind.
fn names_in(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(err) => return Err(err),
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension() == Some(OsStr::new("toml")) {
            names.push(path);
        }
    }
    names.sort();
    Ok(names)
}

/// The machine's name, for a device without one.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
