//! The copy of the last good configuration in the data directory, with which a rig starts
//! whose configuration was broken since: it never goes silent for a typing mistake.
//! Knows what is kept and where; who is told is the agent's business.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::layers::{self, Layer, Loaded, Profiles};
use super::load::{self, data_dir_hint, load_with, read_layer};
use super::problem::Problems;
use super::{Config, Source};

/// The copy's name in the data directory.
pub const FILE_NAME: &str = "last-good.toml";
/// Begins the line that says which file it is a copy of.
const OF_MARK: &str = "#of ";
const TEMPORARY_NAME: &str = "last-good.toml.new";
const HEAD: &str = "# The last configuration that was good, kept by spraylog for a start with a bad one.\n\
                    # Changes here are overwritten.\n\n";

/// Begins each line of the meter's profile, which is kept in the same file: two files
/// could be parted by a power cut, and a count be read by another meter's profile. It is a
/// comment, so that every version of the program reads the rest.
const PROFILE_MARK: &str = "#|";
const PROFILE_HEAD: &str = "\n# The meter's profile that it was good with:\n";

/// What a start has to go on.
#[derive(Debug)]
pub struct Start {
    /// What to run with.
    pub loaded: Loaded,
    /// Why it isn't the configured one: the rig runs degraded, with its last good.
    pub refused: Option<Problems>,
}

/// What went wrong with the copy.
#[derive(Debug, thiserror::Error)]
pub enum LastGoodError {
    /// It couldn't be written.
    #[error("{path}: the last good configuration can't be kept")]
    Keep {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It couldn't be read back, or is good no more.
    #[error("{path}: the last good configuration can't be used")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Problems,
    },
}

/// [`load_with`]; where that fails, the last good one.
///
/// # Errors
/// The problems of the configuration, where there is no last good one that can be used:
/// exit code 78.
pub fn start(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    profiles: Profiles<'_>,
) -> Result<Start, Problems> {
    start_beside(path, env, profiles, &Config::default().device.data_dir)
}

fn start_beside(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    profiles: Profiles<'_>,
    usual: &Path,
) -> Result<Start, Problems> {
    let env: Vec<_> = env.into_iter().collect();
    let refused = match load_with(path, env.clone(), profiles) {
        Ok(loaded) => return Ok(Start { loaded, refused: None }),
        Err(problems) => problems,
    };
    let named = data_dir_hint(path, env).map_or(Ok(None), |dir| read(&dir));
    let found = match named {
        Ok(None) if usable_by(usual, load::path_or_default(path)) => read(usual),
        named => named,
    };
    match found {
        Ok(Some(loaded)) => Ok(Start { loaded, refused: Some(refused) }),
        Ok(None) => Err(refused),
        Err(LastGoodError::Read { source, .. }) => {
            Err(Problems(refused.0.into_iter().chain(source.0).collect()))
        }
        Err(LastGoodError::Keep { .. }) => Err(refused),
    }
}

/// Writes the copy into the data directory that is in use, if it isn't there already. Also
/// into the one that the configuration names for the next start, if that is there; and into
/// the usual one, where it is found even if the configuration can't be read any more as far
/// as to its `device.data_dir`.
///
/// # Errors
/// If one of the first two can't be written to. The rig runs on.
pub fn keep(data_dir: &Path, loaded: &Loaded) -> Result<(), LastGoodError> {
    keep_beside(data_dir, loaded, &Config::default().device.data_dir)
}

fn keep_beside(data_dir: &Path, loaded: &Loaded, usual: &Path) -> Result<(), LastGoodError> {
    write(data_dir, loaded)?;
    let next = loaded.config.device.data_dir.as_path();
    if usual != data_dir && usual != next && usual.is_dir() {
        let own = loaded.sources.iter().find_map(|source| match source {
            Source::File(path) => Some(usable_by(usual, path)),
            Source::Environment(_) => None,
        });
        if own == Some(true) {
            // Whose directory it is, if it can't be written to, is none of this rig's business.
            let _ = write(usual, loaded);
        }
    }
    match next != data_dir && next.is_dir() {
        true => write(next, loaded),
        false => Ok(()),
    }
}

/// Whether the copy in the usual directory is for a rig with this configuration file, or
/// for nobody: a bench with a file of its own neither runs with the rig's nor spoils it.
fn usable_by(usual: &Path, path: &Path) -> bool {
    let Ok(copy) = fs::read_to_string(usual.join(FILE_NAME)) else { return true };
    let of = copy.lines().find_map(|line| line.strip_prefix(OF_MARK)).map(Path::new);
    of.is_none_or(|of| of == absolute(path) || !of.exists())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// A power cut leaves: before the rename, the old copy, and perhaps a torn temporary file
/// that the next call overwrites and nothing reads; after it, the old or the new copy,
/// each whole, since the new one was synced before it got its name.
///
fn write(data_dir: &Path, loaded: &Loaded) -> Result<(), LastGoodError> {
    let text = text_of(loaded);
    let path = data_dir.join(FILE_NAME);
    if fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
        return Ok(());
    }
    let temporary = data_dir.join(TEMPORARY_NAME);
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| LastGoodError::Keep { path, source }
    };
    let mut file = fs::File::create(&temporary).map_err(failed(&temporary))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed(&temporary))?;
    fs::rename(&temporary, &path).map_err(failed(&path))?;
    // Without it the rename itself may be lost, which is harmless, or reach the disk late.
    fs::File::open(data_dir).and_then(|dir| dir.sync_all()).map_err(failed(data_dir))
}

/// The copy, if there is one. The environment has no part in it: what it said then is in
/// the copy.
///
/// # Errors
/// If it is there and can't be read, or this version doesn't take it.
pub fn read(data_dir: &Path) -> Result<Option<Loaded>, LastGoodError> {
    let path = data_dir.join(FILE_NAME);
    if !path.exists() {
        return Ok(None);
    }
    let unusable = |source| LastGoodError::Read { path: path.clone(), source };
    let layer = read_layer(&path).map_err(unusable)?;
    let profile = profile_in(&layer);
    let loaded = layers::merge(&[layer], &[], Vec::new(), "", &|_| Ok(None)).map_err(unusable)?;
    Ok(Some(Loaded { profile, ..loaded }))
}

/// What the copy says.
fn text_of(loaded: &Loaded) -> String {
    let mut text = String::from(HEAD);
    if let Some(Source::File(path)) = loaded.sources.first() {
        text.push_str(&format!("{OF_MARK}{}\n\n", absolute(path).display()));
    }
    text.push_str(&load::text_of(loaded));
    if let Some(profile) = &loaded.profile {
        text.push_str(PROFILE_HEAD);
        for line in profile.split('\n') {
            text.push_str(&format!("{PROFILE_MARK}{line}\n"));
        }
    }
    text
}

/// The profile in a copy; older ones have none.
fn profile_in(layer: &Layer) -> Option<String> {
    let lines = layer.text.split('\n').filter_map(|line| line.strip_prefix(PROFILE_MARK));
    let lines: Vec<&str> = lines.collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{MeterProfile, Severity};

    struct Rig(tempfile::TempDir);

    impl Rig {
        fn new() -> Self {
            let rig = Self(tempfile::tempdir().unwrap());
            fs::create_dir(rig.data()).unwrap();
            rig
        }

        fn data(&self) -> PathBuf {
            self.0.path().join("data")
        }

        fn configure(&self, more: &str) {
            let text = format!("device.data_dir = {:?}\n{more}\n", self.data());
            fs::write(self.0.path().join("spraylog.toml"), text).unwrap();
        }

        fn start(&self) -> Result<Start, Problems> {
            self.start_with(Ok(None))
        }

        fn start_with(
            &self,
            profile: Result<Option<MeterProfile>, String>,
        ) -> Result<Start, Problems> {
            start(Some(&self.0.path().join("spraylog.toml")), [], &|_| profile.clone())
        }
    }

    #[test]
    fn a_rig_whose_profile_was_broken_starts_with_the_profile_it_was_good_with() {
        let rig = Rig::new();
        rig.configure("meter.profile = '/etc/spraylog/meters/own.toml'");
        for text in ["kind = 'x'\r\n\r\n[a] # b\r\n", "kind = 'x'", "#| a comment\n\n\n"] {
            let known = MeterProfile { text: text.to_owned(), tells_serial: true };
            keep(&rig.data(), &rig.start_with(Ok(Some(known))).unwrap().loaded).unwrap();
            let start = rig.start_with(Err("cannot read it".to_owned())).unwrap();
            assert_eq!(start.loaded.profile.as_deref(), Some(text));
            let refused = start.refused.unwrap().to_string();
            assert!(
                refused.contains("spraylog.toml:2: meter.profile: cannot read it"),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_rig_whose_configuration_was_broken_starts_with_its_last_good_one() {
        let rig = Rig::new();
        rig.configure("meter.calibration.factor = 130.5");
        let good = rig.start().unwrap();
        assert!(good.refused.is_none());
        keep(&rig.data(), &good.loaded).unwrap();

        rig.configure("meter.calibration.factor = 0");
        let start = rig.start().unwrap();
        assert_eq!(start.loaded.config, good.loaded.config);
        let refused = start.refused.unwrap();
        assert!(
            refused.to_string().contains("spraylog.toml:2: meter.calibration.factor:"),
            "{refused}"
        );

        rig.configure("meter.calibration.factor = [[");
        assert_eq!(rig.start().unwrap().loaded.config, good.loaded.config);
    }

    #[test]
    fn a_configuration_that_does_not_even_tell_its_directory_finds_its_copy_in_the_usual_one() {
        let rig = Rig::new();
        let usual = rig.0.path().join("usual");
        let file = rig.0.path().join("spraylog.toml");
        let begin = || start_beside(Some(&file), [], &|_| Ok(None), &usual);
        rig.configure("meter.calibration.factor = 130.5");
        let good = begin().unwrap().loaded;
        keep_beside(&rig.data(), &good, &usual).unwrap();
        assert!(!usual.exists(), "it is not made for that");
        fs::create_dir(&usual).unwrap();
        keep_beside(&rig.data(), &good, &usual).unwrap();

        for broken in ["device.data_dir = \"/srv", "device.data_dir = 5", ""] {
            fs::write(&file, format!("{broken}\nmeter.bauds = 1")).unwrap();
            assert_eq!(begin().unwrap().loaded.config, good.config, "{broken}");
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(begin().unwrap().loaded.config, good.config);
    }

    #[test]
    fn a_bench_neither_runs_with_the_rigs_copy_nor_spoils_it() {
        let (rig, bench) = (Rig::new(), Rig::new());
        let usual = rig.data();
        rig.configure("meter.calibration.factor = 130.5");
        keep_beside(&usual, &rig.start().unwrap().loaded, &usual).unwrap();
        bench.configure("meter.calibration.factor = 99");
        let of_bench = bench.start().unwrap().loaded;
        keep_beside(&bench.data(), &of_bench, &usual).unwrap();
        assert_eq!(read(&usual).unwrap().unwrap().config.meter.calibration.factor, 130.5);
        let file = bench.0.path().join("spraylog.toml");
        fs::write(&file, "[[[").unwrap();
        assert!(start_beside(Some(&file), [], &|_| Ok(None), &usual).is_err());
    }

    #[test]
    fn a_new_data_directory_has_the_copy_before_the_start_that_uses_it() {
        let rig = Rig::new();
        let (old, new) = (rig.0.path().join("old"), rig.data());
        fs::create_dir(&old).unwrap();
        rig.configure("");
        let loaded = rig.start().unwrap().loaded;
        keep_beside(&old, &loaded, &old).unwrap();
        assert_eq!(read(&old).unwrap().unwrap().config, loaded.config);
        assert_eq!(read(&new).unwrap().unwrap().config, loaded.config);
        fs::remove_dir_all(&new).unwrap();
        keep_beside(&old, &loaded, &old).unwrap();
        assert!(!new.exists());
    }

    #[test]
    fn without_a_last_good_one_the_problems_are_all_there_is() {
        let rig = Rig::new();
        rig.configure("meter.calibration.factor = 0");
        assert_eq!(
            rig.start().unwrap_err().0.iter().filter(|p| p.severity == Severity::Error).count(),
            1
        );
        fs::write(rig.data().join(FILE_NAME), "meter.bauds = 1").unwrap();
        let both = rig.start().unwrap_err().to_string();
        assert!(
            both.contains("factor") && both.contains("last-good.toml:1: meter.bauds"),
            "{both}"
        );
    }

    #[test]
    fn a_torn_temporary_file_is_overwritten_and_never_read() {
        let rig = Rig::new();
        rig.configure("");
        fs::write(rig.data().join(TEMPORARY_NAME), "torn = [").unwrap();
        assert!(read(&rig.data()).unwrap().is_none());
        let loaded = rig.start().unwrap().loaded;
        keep(&rig.data(), &loaded).unwrap();
        assert_eq!(read(&rig.data()).unwrap().unwrap().config, loaded.config);
        assert!(!rig.data().join(TEMPORARY_NAME).exists());
    }

    #[test]
    fn an_unchanged_configuration_is_not_written_again() {
        let rig = Rig::new();
        rig.configure("");
        let loaded = rig.start().unwrap().loaded;
        keep(&rig.data(), &loaded).unwrap();
        let written = fs::metadata(rig.data().join(FILE_NAME)).unwrap().modified().unwrap();
        keep(&rig.data(), &loaded).unwrap();
        assert_eq!(fs::metadata(rig.data().join(FILE_NAME)).unwrap().modified().unwrap(), written);
    }

    #[test]
    fn a_data_directory_that_is_gone_is_told() {
        let rig = Rig::new();
        rig.configure("");
        let loaded = rig.start().unwrap().loaded;
        fs::remove_dir_all(rig.data()).unwrap();
        assert!(matches!(keep(&rig.data(), &loaded), Err(LastGoodError::Keep { .. })));
    }
}
