//! Finds a profile by name or path. The one part of the meter that reads a file, at
//! start and at reload only; knows nothing of what a profile says.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::profile::{Profile, ProfileError};
use crate::cause::chain;
use crate::config::MeterProfile;

/// A profile is a page of text; more than this, in bytes, is another kind of file.
const MOST_BYTES: u64 = 64 * 1024;

/// Where a technician's own profiles lie, and those of the package.
const INSTALLED: [&str; 2] = ["/etc/spraylog/meters", "/usr/share/spraylog/meters"];

/// [`load`] with the directories of an installed agent.
pub fn installed(name_or_path: &str) -> Result<Profile, ProfileError> {
    load(name_or_path, &INSTALLED.map(Path::new))
}

/// What the configuration's check wants to know of an installed profile; why not, where
/// it can't be used.
pub fn for_config(name_or_path: &str) -> Result<MeterProfile, String> {
    let found = find(name_or_path, &INSTALLED.map(Path::new));
    let read = found.and_then(|text| Ok((parse(name_or_path, &text)?.tells_serial(), text)));
    let (tells_serial, text) = read.map_err(|err| chain(&err))?;
    Ok(MeterProfile { text, tells_serial })
}

/// The profile of that name or path from its text, wherever that was kept.
pub fn parse(name_or_path: &str, text: &str) -> Result<Profile, ProfileError> {
    let stem = Path::new(name_or_path).file_stem().filter(|_| is_path(name_or_path));
    let name = stem.map_or(name_or_path.into(), |stem| stem.to_string_lossy());
    Profile::parse(&name, text)
}

/// The profile of that name, or in that file. What contains a `/` or ends in `.toml` is a
/// path; else `NAME.toml` is looked for in each of `dirs`, then among the shipped ones,
/// so that a technician's own copy of a shipped profile goes before it.
pub fn load(name_or_path: &str, dirs: &[&Path]) -> Result<Profile, ProfileError> {
    parse(name_or_path, &find(name_or_path, dirs)?)
}

fn is_path(name_or_path: &str) -> bool {
    name_or_path.contains('/') || name_or_path.ends_with(".toml")
}

/// The text of a profile, from the first place that has it.
fn find(name_or_path: &str, dirs: &[&Path]) -> Result<String, ProfileError> {
    if is_path(name_or_path) {
        return read(Path::new(name_or_path));
    }
    for dir in dirs {
        let path = dir.join(format!("{name_or_path}.toml"));
        match read(&path) {
            Err(ProfileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            text => return text,
        }
    }
    let shipped = Profile::builtin_text(name_or_path);
    shipped.map(str::to_owned).ok_or_else(|| missing(name_or_path, dirs))
}

fn read(path: &Path) -> Result<String, ProfileError> {
    let failed = |source| ProfileError::Read { path: path.display().to_string(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > MOST_BYTES {
        let problem = format!("longer than {MOST_BYTES} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, problem)));
    }
    Ok(text)
}

fn missing(name: &str, dirs: &[&Path]) -> ProfileError {
    let looked_in = match dirs {
        [] => "no directory".to_owned(),
        _ => dirs.iter().map(|d| d.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    let built_in = Profile::builtin_names().collect::<Vec<_>>().join(", ");
    ProfileError::Missing { name: name.to_owned(), looked_in, built_in }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIG_LINE: &str = include_str!("../../config/meters/rig-line.toml");

    #[test]
    fn a_name_is_looked_for_in_the_directories_before_the_shipped_ones() {
        let dir = tempfile::tempdir().unwrap();
        let nowhere = dir.path().join("nowhere");
        let dirs = [nowhere.as_path(), dir.path()];
        assert_eq!(load("rig-line", &dirs).unwrap().counter.modulus, Some(1 << 32));
        let own = RIG_LINE.replace("modulus = 4294967296", "modulus = 1000000");
        std::fs::write(dir.path().join("rig-line.toml"), &own).unwrap();
        assert_eq!(load("rig-line", &dirs).unwrap().counter.modulus, Some(1_000_000));
        let path = dir.path().join("rig-line.toml");
        let by_path = load(path.to_str().unwrap(), &[]).unwrap();
        assert_eq!((by_path.name.as_str(), by_path.counter.modulus), ("rig-line", Some(1_000_000)));
    }

    #[test]
    fn an_unknown_name_says_where_it_was_looked_for_and_what_there_is() {
        let said = load("rigline", &[Path::new("/etc/spraylog/meters")]).unwrap_err().to_string();
        assert!(said.contains("/etc/spraylog/meters") && said.contains("rig-line"), "{said}");
    }

    #[test]
    fn a_broken_copy_is_reported_and_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rig-line.toml"), "kind =").unwrap();
        assert!(matches!(
            load("rig-line", &[dir.path()]),
            Err(ProfileError::Syntax { line: 1, .. })
        ));
        let huge = dir.path().join("huge.toml");
        std::fs::write(&huge, "#".repeat(70_000)).unwrap();
        assert!(matches!(load(huge.to_str().unwrap(), &[]), Err(ProfileError::Read { .. })));
    }
}
