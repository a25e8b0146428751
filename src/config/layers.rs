//! Texts and variables in, one configuration out: defaults, then the files in their order,
//! then the environment. The `config` crate merges; what each key was last set by travels
//! with its value. Reads no file and no environment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use config::{Environment, Map, Source as ConfigSource, Value, ValueKind};

use super::check::{self, Findings};
use super::key::Key;
use super::problem::{Origin, Problem, Problems, Severity};
use super::{Config, keys, spans};

/// Begins every variable that is ours.
const PREFIX: &str = "SPRAYLOG";
/// Variables that are ours and no keys. Those of the tests are strangers to a build
/// without `testhooks`.
#[cfg(feature = "testhooks")]
const NOT_KEYS: &[&str] = &["SPRAYLOG_CONFIG", "SPRAYLOG_TEST_CLOCK", "SPRAYLOG_FAILPOINT"];
#[cfg(not(feature = "testhooks"))]
const NOT_KEYS: &[&str] = &["SPRAYLOG_CONFIG"];

/// One file's text.
#[derive(Debug, Clone)]
pub struct Layer {
    /// As it is named in problems.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// Which value comes from where. A key that isn't in it has its default.
pub type Origins = BTreeMap<&'static str, Origin>;

/// What a configuration needs to know of its meter's profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterProfile {
    /// The whole of it, as it was found.
    pub text: String,
    /// Whether such a meter tells its serial number.
    pub tells_serial: bool,
}

/// Finds a meter's profile by its name or path, and says why where it can't be used.
/// `None` from who doesn't look: then nothing is judged by it.
pub type Profiles<'a> = &'a dyn Fn(&str) -> Result<Option<MeterProfile>, String>;

/// A configuration that was found good.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// The text of the meter's profile, where it was looked for.
    pub profile: Option<String>,
    /// What was read, in the order in which each overrides the one before.
    pub sources: Vec<Source>,
    /// What the operator is told, though the configuration is used.
    pub warnings: Vec<Problem>,
    /// Which key was last set where. A key that isn't in it has its default.
    pub origins: Origins,
}

/// Something that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Variables, by their names.
    Environment(Vec<String>),
}

/// Merges and checks. `found` are problems that reading the layers brought; they are
/// reported with the rest. `host` names a device that has no name. A meter's profile that
/// can't be used is one more: a rig that began with it would fall silent at the next start.
pub fn merge(
    layers: &[Layer],
    env: &[(String, String)],
    found: Vec<Problem>,
    host: &str,
    profiles: Profiles<'_>,
) -> Result<Loaded, Problems> {
    let mut reading = Reading { broken: !found.is_empty(), problems: found, ..Reading::default() };
    let mut builder = config::Config::builder();
    for layer in layers {
        builder = builder.add_source(reading.file(layer));
    }
    let variables = reading.variables(env);
    let mut sources: Vec<Source> =
        layers.iter().map(|layer| Source::File(layer.path.clone())).collect();
    if !variables.is_empty() {
        let mut names: Vec<String> = variables.keys().cloned().collect();
        names.sort();
        sources.push(Source::Environment(names));
    }
    let environment =
        Environment::with_prefix(PREFIX).prefix_separator("_").separator("__").try_parsing(false);
    let merged = builder.add_source(environment.source(Some(variables))).build();
    let mut config = Config::default();
    let mut origins = Origins::new();
    match merged {
        Ok(merged) => reading.take(&merged.cache, &mut config, &mut origins),
        Err(err) => reading.problems.push(Problem::error(
            Origin::Default,
            "",
            format!("can't be merged: {err}"),
        )),
    }
    if config.device.name.is_empty() {
        config.device.name = host.to_string();
    }
    // Paths are joined to it, and they begin with a slash.
    config.jobcloser.base_url.truncate(config.jobcloser.base_url.trim_end_matches('/').len());
    let mut profile = None;
    if !reading.broken {
        let mut findings = Findings::new(&origins, reading.failed);
        profile = check::profile(profiles(&config.meter.profile), &mut findings);
        check::all(&config, profile.as_ref().map(|p| p.tells_serial), &mut findings);
        reading.problems.extend(findings.into_problems());
    }
    let profile = profile.map(|p| p.text);
    let loaded = Loaded { config, profile, sources, warnings: Vec::new(), origins };
    settle(loaded, reading.problems, layers)
}

/// Refuses if there is an error; else hands the warnings on.
fn settle(
    loaded: Loaded,
    mut problems: Vec<Problem>,
    layers: &[Layer],
) -> Result<Loaded, Problems> {
    let rank = |problem: &Problem| match &problem.origin {
        Origin::File { path, line } => (
            layers.iter().position(|layer| layer.path == *path).unwrap_or(layers.len()),
            line.unwrap_or(0),
        ),
        Origin::Environment(_) => (layers.len() + 1, 0),
        Origin::Default => (layers.len() + 2, 0),
    };
    problems.sort_by_key(rank);
    match problems.iter().any(|problem| problem.severity == Severity::Error) {
        true => Err(Problems(problems)),
        false => Ok(Loaded { warnings: problems, ..loaded }),
    }
}

/// What was found while the layers were read.
#[derive(Debug, Default)]
struct Reading {
    problems: Vec<Problem>,
    /// Places of the values that files set; a merged value carries its index.
    places: Vec<Origin>,
    /// Keys with a value that was refused somewhere.
    failed: BTreeSet<&'static str>,
    /// A file can't be read or isn't TOML, so that what is missing may be in that part.
    broken: bool,
}

impl Reading {
    /// The good values of a file; its problems are noted.
    fn file(&mut self, layer: &Layer) -> FileLayer {
        let spans = spans::read(&layer.text);
        self.broken |= spans.broken;
        for fault in spans.faults {
            self.failed.extend(keys::find(&fault.key).map(|key| key.path));
            self.problems.push(Problem {
                column: fault.column,
                suggestion: fault.refusal.suggestion,
                ..Problem::error(
                    Origin::line(&layer.path, fault.line),
                    fault.key,
                    fault.refusal.message,
                )
            });
        }
        let mut values = Vec::new();
        for entry in spans.entries {
            let origin = Origin::line(&layer.path, entry.line);
            if self.accepts(entry.key, &entry.value, &origin) {
                values.push((
                    entry.key.path.to_string(),
                    Value::new(Some(&self.places.len().to_string()), entry.value),
                ));
                self.places.push(origin);
            }
        }
        FileLayer { values }
    }

    /// The good variables; problems are noted.
    fn variables(&mut self, env: &[(String, String)]) -> HashMap<String, String> {
        let mut good = HashMap::new();
        for (name, text) in env {
            let Some(rest) = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('_'))
            else {
                continue;
            };
            if NOT_KEYS.contains(&name.as_str()) {
                continue;
            }
            let origin = Origin::Environment(name.clone());
            match keys::all().find(|key| key.variable() == *name) {
                Some(key) => {
                    let value = match environment_value(key, text) {
                        Ok(value) => value,
                        Err(message) => {
                            self.failed.insert(key.path);
                            self.problems.push(Problem::error(origin, key.path, message));
                            continue;
                        }
                    };
                    if self.accepts(key, &value, &origin) {
                        good.insert(name.clone(), text.clone());
                    }
                }
                None => self.problems.push(unknown_variable(origin, rest)),
            }
        }
        good
    }

    /// Tries a value by itself, so that a wrong one is told even where a later layer
    /// overrides it.
    fn accepts(&mut self, key: &'static Key, value: &ValueKind, origin: &Origin) -> bool {
        match (key.set)(&mut Config::default(), value) {
            Ok(()) => true,
            Err(refusal) => {
                self.failed.insert(key.path);
                let problem = Problem::error(origin.clone(), key.path, refusal.message);
                self.problems.push(problem.suggesting(refusal.suggestion));
                false
            }
        }
    }

    /// Puts the merged values into `config`, and where they come from into `origins`.
    fn take(&mut self, merged: &Value, config: &mut Config, origins: &mut Origins) {
        for key in keys::all() {
            let Some(value) = at(merged, key.path) else { continue };
            let place = value
                .origin()
                .and_then(|index| index.parse::<usize>().ok())
                .and_then(|index| self.places.get(index));
            let taken = match (place, &value.kind) {
                (Some(_), kind) => (key.set)(config, kind),
                (None, ValueKind::String(text)) => match environment_value(key, text) {
                    Ok(kind) => (key.set)(config, &kind),
                    Err(message) => Err(message.into()),
                },
                (None, kind) => (key.set)(config, kind),
            };
            let origin = place.cloned().unwrap_or_else(|| Origin::Environment(key.variable()));
            if let Err(refusal) = taken {
                self.problems.push(Problem::error(origin.clone(), key.path, refusal.message));
            }
            origins.insert(key.path, origin);
        }
    }
}

/// A variable's text as the key's value: text as it is, all else as TOML.
fn environment_value(key: &Key, text: &str) -> Result<ValueKind, String> {
    match key.textual {
        true => Ok(ValueKind::String(text.to_string())),
        false => spans::value(text.trim()).map_err(|_| format!("expected {}", key.kind)),
    }
}

/// A variable of ours that is no key: an error where it has the form of one, else only
/// told, since it may be meant for something else.
fn unknown_variable(origin: Origin, rest: &str) -> Problem {
    let path = rest.to_lowercase().replace("__", ".");
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path.as_str()));
    let exact = keys::all().find(|key| key.path.replace('.', "_") == rest.to_lowercase());
    let near = || {
        let meant = spans::meant(section, name)?;
        let full = format!("{section}.{meant}");
        keys::find(&meant).or_else(|| keys::find(&full))
    };
    let suggestion = exact.or_else(near).map(Key::variable);
    let problem = match section {
        "" => Problem::warning(
            origin,
            "",
            "isn't a setting and is ignored: a key is SPRAYLOG_SECTION__KEY",
        ),
        _ => Problem::error(origin, "", "unknown key"),
    };
    problem.suggesting(suggestion)
}

/// The value at a dotted path.
fn at<'v>(root: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(root, |value, name| match &value.kind {
        ValueKind::Table(table) => table.get(name),
        _ => None,
    })
}

/// A file's values as a source for `config`: only known keys, each converted without
/// guessing, so that its path syntax never sees a name that somebody typed.
#[derive(Debug, Clone)]
struct FileLayer {
    values: Vec<(String, Value)>,
}

impl ConfigSource for FileLayer {
    fn clone_into_box(&self) -> Box<dyn ConfigSource + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.values.iter().cloned().collect())
    }
}

/// The data directory that a configuration seems to mean, however broken it is otherwise.
pub(super) fn data_dir(layers: &[Layer], env: &[(String, String)]) -> Option<PathBuf> {
    let key = keys::find("device.data_dir")?;
    let variable = key.variable();
    let set = env
        .iter()
        .find(|(name, _)| *name == variable)
        .map(|(_, text)| ValueKind::String(text.clone()));
    let in_files = layers.iter().flat_map(|layer| spans::read(&layer.text).entries);
    let named =
        in_files.filter(|entry| entry.key.path == key.path).map(|entry| entry.value).chain(set);
    let mut usable = named.filter_map(|value| {
        let mut config = Config::default();
        (key.set)(&mut config, &value).ok()?;
        Some(config.device.data_dir)
    });
    usable.next_back()
}
