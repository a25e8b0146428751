//! One row of the table of keys: a key's path, default, meaning, and how its value gets
//! into [`Config`] and out again. Unknown keys, the annotated output, the reference and
//! the shipped file all follow from the rows; the rows themselves are in [`super::keys`].

use config::ValueKind;

use super::Config;
use super::shape::quoted;

/// Whether SIGHUP is enough for a new value to take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// It takes effect with the reload.
    Live,
    /// It takes effect at the next start.
    Restart,
}

/// A section, with what heads it in the shipped file.
#[derive(Debug)]
pub struct Section {
    /// As between the brackets.
    pub name: &'static str,
    /// One or two sentences for a technician.
    pub doc: &'static str,
    /// Its keys in the order in which they are shown.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Section and name, as in `meter.baud`.
    pub path: &'static str,
    /// What it takes, in words.
    pub kind: &'static str,
    /// The value comes as text, so that an environment variable is taken as it is;
    /// otherwise the variable is read as a TOML value.
    pub textual: bool,
    /// The default, without the quotes of a text; `None` for a key that is unset unless
    /// somebody sets it.
    pub default: Option<&'static str>,
    /// A value that shows the form, without quotes: the default where there is one.
    pub example: &'static str,
    /// One or two sentences for a technician.
    pub doc: &'static str,
    /// Whether a reload is enough.
    pub reload: Reload,
    /// Converts, checks the value by itself, and stores it.
    pub set: fn(&mut Config, &ValueKind) -> Result<(), Refusal>,
    /// The value as TOML; `None` where it is unset.
    pub write: fn(&Config) -> Option<String>,
}

/// Why a value was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong and what to do.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl Key {
    /// The name without its section.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The default as it stands in a file; of a key that has none, the example.
    pub fn example_toml(&self) -> String {
        match self.textual {
            true => quoted(self.example),
            false => self.example.to_string(),
        }
    }

    /// The environment variable that sets it: `SPRAYLOG_METER__CALIBRATION__FACTOR`.
    pub fn variable(&self) -> String {
        format!("SPRAYLOG_{}", self.path.to_uppercase().replace('.', "__"))
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self { message, suggestion: None }
    }
}

impl From<&str> for Refusal {
    fn from(message: &str) -> Self {
        message.to_string().into()
    }
}

/// A row: `key!(path: Shape, "default", Reload, check of the value, "meaning")`,
/// with `unset "example"` in place of the default for a key that has none.
macro_rules! key {
    ($first:ident $(. $rest:ident)+ : $shape:ty, unset $example:literal, $reload:ident, $valid:expr, $doc:literal) => {
        key!(@row [$first $(. $rest)+] $shape, None, $example, $reload, $valid, $doc)
    };
    ($first:ident $(. $rest:ident)+ : $shape:ty, $default:literal, $reload:ident, $valid:expr, $doc:literal) => {
        key!(@row [$first $(. $rest)+] $shape, Some($default), $default, $reload, $valid, $doc)
    };
    (@row [$first:ident $(. $rest:ident)+] $shape:ty, $default:expr, $example:literal, $reload:ident, $valid:expr, $doc:literal) => {
        $crate::config::key::Key {
            path: concat!(stringify!($first) $(, ".", stringify!($rest))+),
            kind: <$shape as $crate::config::shape::Shape>::KIND,
            textual: <$shape as $crate::config::shape::Shape>::TEXTUAL,
            default: $default,
            example: $example,
            doc: $doc,
            reload: $crate::config::key::Reload::$reload,
            set: |config, value| {
                let value = <$shape as $crate::config::shape::Shape>::read(value)?;
                let valid: fn(
                    &<$shape as $crate::config::shape::Shape>::Of,
                ) -> Result<(), $crate::config::key::Refusal> = $valid;
                valid(&value)?;
                config.$first $(. $rest)+ = value;
                Ok(())
            },
            write: |config| <$shape as $crate::config::shape::Shape>::write(&config.$first $(. $rest)+),
        }
    };
}
pub(super) use key;
