//! The shipped `config/spraylog.toml` and `docs/config-reference.md` as they follow from
//! the table of keys. A test holds both files to these texts.

use super::annotate::push_comment;
use super::key::{Key, Reload};
use super::keys;

const SHIPPED_HEAD: &str = "\
# spraylog: the configuration of this rig. Every key is here with its default.
#
# 1. Set [meter] port and [gps] port, and the meter's K in [meter.calibration] factor.
# 2. spraylog check --config THIS FILE      says what is wrong, with its line
# 3. systemctl reload spraylog              takes it up without losing a record
#
# Files conf.d/*.toml beside this one come after it, in the order of their names, then
# variables like SPRAYLOG_METER__BAUD=4800. The later one wins.
";

const REFERENCE_HEAD: &str = "\
# Configuration

One TOML file, by default `/etc/spraylog/spraylog.toml`. What is set where, the later one
winning:

1. the defaults below,
2. that file, or the one of `--config FILE`,
3. `conf.d/*.toml` in the same directory, in the order of their names,
4. variables: `SPRAYLOG_METER__BAUD=4800` is `[meter] baud = 4800`, and
   `SPRAYLOG_METER__CALIBRATION__FACTOR=126.7` is `[meter.calibration] factor = 126.7`.

An unknown key, a value of the wrong type and a value out of range are refused. `spraylog
check` lists every problem with its file and line, and `spraylog config` shows what is in
force and who set it. SIGHUP (`systemctl reload spraylog`) reads everything again; if it is
good, it takes effect without losing a record, except for the keys marked *restart*, which
wait for the next start. If it is not good, it is reported and the old one stays in force.

At a start with a bad configuration the last good one runs, from `last-good.toml` in
`device.data_dir`, and `status` says so. Where there is none the exit code is 78. A
configuration file that isn't there is a bad one, and so is one whose meter profile can't be
used: the copy has the profile in it. Where `device.data_dir` isn't the default and
`/var/lib/spraylog` is there too, a second copy lies in that: it is found even if
`device.data_dir` can't be read any more.

Times are written with their unit: `\"1500ms\"`, `\"5s\"`, `\"5m\"`, `\"2h\"`, `\"30d\"`, `\"3y\"` (a
year is 365.25 days). So are sizes: `\"256 KiB\"`, `\"8 GiB\"`.

## Credentials

The e-mail address and the password are files, never keys. The first of these places where
either of the two is found counts, and it must hold both:

1. `$CREDENTIALS_DIRECTORY/jobcloser_email` and `jobcloser_password`, as systemd's
   `LoadCredential=jobcloser:/etc/spraylog/credentials` makes them of the files `email` and
   `password` in that directory,
2. `$CREDENTIALS_DIRECTORY/email` and `password`,
3. the paths of `jobcloser.email_file` and `jobcloser.password_file`.

One line each; line breaks at the end don't count. Without them the rig records and keeps,
and sends nothing. systemd's are copies that it makes when the service starts: after a change
of the files, `systemctl restart spraylog`. Files of the third kind are looked at again by
themselves; where `$CREDENTIALS_DIRECTORY` is set, those that the user spraylog may not read
count as missing.
";

/// The text of `config/spraylog.toml`.
pub fn shipped() -> String {
    let mut text = String::from(SHIPPED_HEAD);
    for section in keys::SECTIONS {
        text.push_str("\n\n");
        push_comment(&mut text, section.doc);
        text.push_str(&format!("[{}]\n", section.name));
        for key in section.keys {
            text.push('\n');
            push_comment(&mut text, key.doc);
            let unset = if key.default.is_some() { "" } else { "# " };
            text.push_str(&format!("{unset}{} = {}\n", key.name(), key.example_toml()));
        }
    }
    text
}

/// The text of `docs/config-reference.md`.
pub fn markdown() -> String {
    let mut text = String::from(REFERENCE_HEAD);
    for section in keys::SECTIONS {
        text.push_str(&format!("\n## `[{}]`\n\n{}\n\n", section.name, section.doc));
        text.push_str("| key | default | takes | |\n| --- | --- | --- | --- |\n");
        for key in section.keys {
            text.push_str(&row(key));
        }
    }
    text
}

fn row(key: &Key) -> String {
    let default = match key.default {
        Some(_) => format!("`{}`", key.example_toml()),
        None => "unset".to_string(),
    };
    let restart = match key.reload {
        Reload::Live => "",
        Reload::Restart => " *restart*",
    };
    format!("| `{}` | {default} | {} | {}{restart} |\n", key.name(), key.kind, key.doc)
}
