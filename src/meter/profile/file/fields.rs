//! `[fields]`: where the value of each role stands and what it is worth.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::super::lines::{Layout, Request};
use super::super::registers::{Holds, Order};
use super::super::unit::{Measure, Unit};
use super::super::{Field, Role, Source};
use super::Wrong;
use super::modbus::{self, FileDecimals, Kind, Numbering, RegisterKeys};

/// What a profile's values stand in.
pub(super) enum Ground<'a> {
    /// Lines of this layout, each the answer to one of these requests if there are any.
    Lines(&'a Layout, &'a [Request]),
    /// Registers.
    Registers(Numbering),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileField {
    position: Option<usize>,
    key: Option<String>,
    group: Option<String>,
    register: Option<u32>,
    request: Option<usize>,
    radix: Option<u32>,
    function: Option<u8>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    order: Option<Order>,
    length: Option<u16>,
    bits: Option<(u8, u8)>,
    decimals: Option<FileDecimals>,
    scale: Option<f64>,
    offset: Option<f64>,
    unit: Option<String>,
    resolution: Option<f64>,
}

/// Reads and checks the fields; there is a source of counts among them.
pub(super) fn read(
    fields: Spanned<BTreeMap<Role, Spanned<FileField>>>,
    ground: &Ground<'_>,
) -> Result<BTreeMap<Role, Field>, Wrong> {
    let (table_at, fields) = (fields.span().start, fields.into_inner());
    let has = |role| fields.contains_key(&role);
    let (count, total, rate) = (has(Role::RawCount), has(Role::Total), has(Role::Rate));
    if !count && !total && !rate {
        let problem = "[fields] needs raw_count, total or rate: there is no source of volume";
        return Err(Wrong::at(table_at, problem));
    }
    if let (true, Some(total)) = (count, fields.get(&Role::Total)) {
        let problem = "counts come from raw_count or from total, not from both";
        return Err(Wrong::at(total.span().start, problem));
    }
    let mut in_order: Vec<_> = fields.into_iter().collect();
    in_order.sort_by_key(|(_, field)| field.span().start);
    let mut checked: BTreeMap<Role, Field> = BTreeMap::new();
    for (role, field) in in_order {
        let (at, read) = (field.span().start, field.into_inner());
        let named = |wrong: Wrong| Wrong::at(at, format!("{}: {}", role.word(), wrong.problem));
        let field = self::field(role, read, ground, at).map_err(named)?;
        let same = |other: &Field| other.source == field.source && other.request == field.request;
        if let Some((other, _)) = checked.iter().find(|(_, other)| same(other)) {
            let what = place_word(&field.source);
            return Err(named(Wrong::at(at, format!("{what} is {} already", other.word()))));
        }
        checked.insert(role, field);
    }
    Ok(checked)
}

fn place_word(source: &Source) -> String {
    match source {
        Source::Position(position) => format!("position {position}"),
        Source::Key(key) => format!("key {key}"),
        Source::Group(group) => format!("group {group}"),
        Source::Register(register) => format!("the register at {}", register.address),
    }
}

fn field(role: Role, read: FileField, ground: &Ground<'_>, at: usize) -> Result<Field, Wrong> {
    let wrong = |problem: &str| Wrong::at(at, problem);
    let quantity = role.is_quantity();
    let scaled = read.scale.is_some() || read.offset.is_some() || read.decimals.is_some();
    if !quantity && (scaled || read.unit.is_some()) {
        return Err(wrong("takes no scale, offset, decimals and unit"));
    }
    let (scale, offset) = (read.scale.unwrap_or(1.0), read.offset.unwrap_or(0.0));
    if !scale.is_finite() || scale == 0.0 || !offset.is_finite() {
        return Err(wrong("scale and offset must be numbers, scale not 0"));
    }
    let unit = unit(role, read.unit.as_deref()).map_err(|problem| wrong(&problem))?;
    let resolution = match (role, read.resolution) {
        (Role::Total, Some(resolution)) if resolution > 0.0 && resolution.is_finite() => {
            Some(resolution)
        }
        (Role::Total, _) => {
            return Err(wrong("needs a resolution above 0: how much one count is, in its unit"));
        }
        (_, Some(_)) => return Err(wrong("resolution is for total")),
        (_, None) => None,
    };
    let radix = read.radix.unwrap_or(10);
    if radix != 10 && radix != 16 {
        return Err(wrong("radix must be 10 or 16"));
    }
    let numbering = match ground {
        Ground::Lines(..) => None,
        Ground::Registers(numbering) => Some(*numbering),
    };
    let decimals = modbus::decimals(read.decimals.clone(), numbering, at)?;
    let (source, request) = match ground {
        Ground::Lines(layout, requests) => in_lines(&read, layout, requests, at)?,
        Ground::Registers(numbering) => (in_registers(role, &read, *numbering, at)?, 0),
    };
    Ok(Field { source, request, radix, decimals, scale, offset, unit, resolution })
}

fn unit(role: Role, word: Option<&str>) -> Result<Option<Unit>, String> {
    let own = Unit::own(role);
    let (Some(word), Some(measure)) = (word, own.map(Unit::measure)) else {
        return Ok(own);
    };
    match Unit::parse(word).filter(|unit| unit.measure() == measure) {
        Some(unit) => Ok(Some(unit)),
        None => Err(format!("unit must be {}", Measure::examples(measure))),
    }
}

fn in_lines(
    read: &FileField,
    layout: &Layout,
    requests: &[Request],
    at: usize,
) -> Result<(Source, usize), Wrong> {
    let wrong = |problem: String| Wrong::at(at, problem);
    if read.register.is_some()
        || read.function.is_some()
        || read.kind.is_some()
        || read.order.is_some()
        || read.length.is_some()
        || read.bits.is_some()
    {
        let problem = "register, function, type, order, length and bits are for modbus-rtu";
        return Err(wrong(problem.to_owned()));
    }
    let request = match read.request {
        None if requests.len() > 1 => {
            return Err(wrong(format!("request is needed: 1 to {}", requests.len())));
        }
        None => 0,
        Some(request) if (1..=requests.len()).contains(&request) => request - 1,
        Some(_) if requests.is_empty() => {
            return Err(wrong("request is for kind = \"ascii-poll\"".to_owned()));
        }
        Some(_) => return Err(wrong(format!("request must be 1 to {}", requests.len()))),
    };
    let own = requests.get(request).and_then(|request| request.pattern.as_ref());
    let pattern = match layout {
        Layout::Regex(pattern) => Some(own.unwrap_or(pattern)),
        Layout::Csv { .. } | Layout::KeyValue { .. } => own,
    };
    let source = match (read.position, &read.key, &read.group, pattern, layout) {
        (None, None, Some(group), Some(pattern), _) => {
            if !pattern.has_group(group) {
                return Err(wrong(format!("the pattern has no group {group}")));
            }
            Source::Group(group.clone())
        }
        (Some(position), None, None, None, Layout::Csv { columns, .. }) => {
            if position == 0 || position > *columns {
                return Err(wrong(format!("position must be 1 to {columns} (columns)")));
            }
            Source::Position(position)
        }
        (None, Some(key), None, None, Layout::KeyValue { .. }) => Source::Key(key.clone()),
        (_, _, _, Some(_), _) => {
            return Err(wrong("needs group, and no position and key".to_owned()));
        }
        (_, _, _, None, Layout::Csv { .. }) => {
            return Err(wrong("needs position, and no key and group".to_owned()));
        }
        (_, _, _, None, _) => {
            return Err(wrong("needs key, and no position and group".to_owned()));
        }
    };
    Ok((source, request))
}

fn in_registers(
    role: Role,
    read: &FileField,
    numbering: Numbering,
    at: usize,
) -> Result<Source, Wrong> {
    let wrong = |problem: &str| Wrong::at(at, problem);
    if read.position.is_some()
        || read.key.is_some()
        || read.group.is_some()
        || read.request.is_some()
        || read.radix.is_some()
    {
        return Err(wrong("position, key, group, request and radix are for lines"));
    }
    let keys = RegisterKeys {
        register: read.register,
        function: read.function,
        kind: read.kind,
        order: read.order,
        length: read.length,
        bits: read.bits,
    };
    let register = modbus::register(&keys, numbering, at)?;
    let text = matches!(register.holds, Holds::Text(_));
    if text && (role.is_quantity() || role.is_count()) {
        return Err(wrong("a string is no number"));
    }
    if role.is_count() && !register.holds.is_integer() {
        return Err(wrong("a count has an integer type; a volume is total"));
    }
    Ok(Source::Register(register))
}
