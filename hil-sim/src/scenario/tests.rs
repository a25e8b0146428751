//! Scenarios as they are written, and what is wrong with some.

use super::*;
use crate::jobcloser::{Fault, Times};
use crate::meter::{FaultKind, MeterFault, Part};

const HEAD: &str = "name = \"test\"\nduration_s = 60\n";

fn read(rest: &str) -> Result<Scenario, ScenarioError> {
    Scenario::read(&format!("{HEAD}{rest}"), Path::new("test.toml"))
}

fn refused(rest: &str) -> String {
    read(rest).unwrap_err().to_string()
}

#[test]
fn a_timeline_is_read_in_order_with_its_defaults() {
    let scenario = read(
        r#"
        [meter]
        missing = ["fluid"]
        [agent.record]
        every = "2s"
        [server]
        return_notes = true
        [[at]]
        t = 20
        do = "unplug_meter"
        [[at]]
        t = 5.5
        do = "start_spraying"
        gpm = 2.0
        [[at]]
        t = 6
        do = "fault"
        fault = "status"
        code = 503
        times = 2
        [[at]]
        t = 7
        do = "behaviour"
        cut_decimals = true
        "#,
    )
    .unwrap();
    assert_eq!(scenario.events[0], (5.5, Event::Turn(Turn::StartSpraying { gpm: 2.0 })));
    let Event::Fault(order) = &scenario.events[1].1 else {
        panic!("{:?}", scenario.events);
    };
    assert_eq!(
        (&order.fault, order.times),
        (&Fault::Status { code: 503, retry_after: None }, Times::Next(2))
    );
    assert_eq!(scenario.events[2].1.to_string(), "server: cut decimals");
    assert_eq!(scenario.events[3], (20.0, Event::Turn(Turn::UnplugMeter { counting: true })));
    assert_eq!(scenario.events[3].1.to_string(), "unplug meter");
    assert!(scenario.meter.sensors.fluid_f.is_none() && scenario.meter.sensors.ambient_f.is_some());
    assert!(scenario.server.return_notes && scenario.agent.contains_key("record"));
}

#[test]
fn unknown_keys_and_senseless_values_are_refused_by_name() {
    for (rest, named) in [
        ("duration = 5", "line 3: unknown field `duration`"),
        ("[meter]\nkay = 5", "unknown field `kay`"),
        ("[meter]\nk = 0", "meter.k = 0"),
        ("[meter]\nserial = \"A,B\"", "meter.serial"),
        ("[meter]\nkind = \"tuf\"", "unknown variant `tuf`"),
        ("[meter]\nkind = \"tuf-2000m\"\nk = 126.7", "a tuf-2000m shows a volume"),
        ("[meter]\nkind = \"pulse-text\"\norder = \"CDAB\"", "has no registers"),
        ("[meter]\nkind = \"adam-4080\"\nunit = 0", "meter.unit = 0"),
        ("[gps]\nhz = 20", "gps.hz = 20"),
        ("[server]\nrefuse_null = true", "unknown field `refuse_null`"),
        ("[[at]]\ndo = \"plug_gps\"", "line 3: t is missing"),
        ("[[at]]\nt = 61\ndo = \"plug_gps\"", "outside the 60 s"),
        ("[[at]]\nt = 1", "do is missing"),
        ("[[at]]\nt = 1\ndo = \"dance\"", "unknown variant `dance`"),
        ("[[at]]\nt = 1\ndo = \"plug_gps\"\ngpm = 2", "unknown field `gpm`"),
        ("[[at]]\nt = 1\ndo = \"start_spraying\"", "missing field `gpm`"),
        ("[[at]]\nt = 1\ndo = \"start_spraying\"\ngpm = -1.0", "gpm = -1"),
        ("[[at]]\nt = 1\ndo = \"rollover\"", "meter.start_count"),
        ("[[at]]\nt = 1\ndo = \"fault\"\nfault = \"html\"\ntime = 2", "unknown key `time`"),
        ("[[at]]\nt = 1\ndo = \"fault\"\nfault = \"fire\"", "unknown variant `fire`"),
        ("[[at]]\nt = 1\ndo = \"behaviour\"\nrefuse_null = true", "unknown field `refuse_null`"),
        ("[[at]]\nt = 50\ndo = \"kill_often\"\ntimes = 3\nover_s = 20.0", "don't fit"),
    ] {
        let error = refused(rest);
        assert!(error.contains(named), "{rest:?}: {error}");
        assert!(error.contains("test.toml") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_meter_speaks_as_its_kind_and_has_the_faults_that_it_can_have() {
    let scenario = read(
        r#"
        [meter]
        kind = "badger-m2000"
        order = "CDAB"
        unit = 7
        [[at]]
        t = 5
        do = "meter_fault"
        fault = "late"
        after_ms = 900
        times = 3
        of = "rate"
        "#,
    )
    .unwrap();
    let meter = &scenario.meter;
    assert_eq!((meter.k, meter.modulus, meter.unit), (100.0, 10_000_000, 7));
    assert_eq!(scenario.events[0].1.to_string(), "meter: late");
    let Event::Turn(turn) = &scenario.events[0].1 else { panic!() };
    let late = MeterFault::once(FaultKind::Late);
    let expected = MeterFault { times: 3, after_ms: 900, of: Some(Part::Rate), ..late };
    assert_eq!(turn.meter_fault(), Some(expected));

    let fault = |kind: &str, rest: &str| {
        refused(&format!("[meter]\nkind = \"{kind}\"\n[[at]]\nt = 1\ndo = \"meter_fault\"\n{rest}"))
    };
    for (kind, rest, named) in [
        ("pulse-text", "fault = \"wrong_checksum\"", "a pulse-text can't have"),
        ("tuf-2000f", "fault = \"exception\"", "a tuf-2000f can't have"),
        ("tuf-2000m", "fault = \"rust\"", "unknown variant `rust`"),
        ("tuf-2000m", "fault = \"short\"\nafter_ms = 5", "after_ms belongs to Late alone"),
        ("teledyne-4250", "fault = \"silent\"\nof = \"rate\"", "all of it in one line"),
    ] {
        let said = fault(kind, rest);
        assert!(said.contains(named) && said.contains("line 5"), "{said}");
    }
}

#[test]
fn deaths_are_thrown_in_order_and_the_same_for_the_same_seed() {
    let often = "[[at]]\nt = 10\ndo = \"kill_often\"\ntimes = 20\nover_s = 40.0";
    let (a, b) = (read(often).unwrap().events, read(often).unwrap().events);
    assert_eq!(a, b);
    assert_eq!(a.len(), 40);
    for (nth, (at, event)) in a.iter().enumerate() {
        let expected = if nth % 2 == 0 { Turn::KillAgent {} } else { Turn::StartAgent {} };
        assert_eq!(*event, Event::Turn(expected), "at {at}");
    }
    let other = Scenario::read(&format!("seed = 2\n{HEAD}{often}"), Path::new("x")).unwrap();
    assert_ne!(other.events, a);
}

#[test]
fn every_shipped_scenario_is_read() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let scenario = Scenario::load(&path).unwrap_or_else(|err| panic!("{err}: {err:?}"));
        let stem = path.file_stem().unwrap().to_string_lossy().replace('-', "_");
        assert_eq!(scenario.name, stem);
        let sprays = |event: &Event| matches!(event, Event::Turn(Turn::StartSpraying { .. }));
        assert!(scenario.events.iter().any(|(_, event)| sprays(event)), "{stem}");
        seen += 1;
    }
    assert!(seen >= 11, "{seen} scenarios");
}

#[test]
fn every_kind_of_meter_has_a_scenario_with_its_profile_and_every_fault_is_in_one() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut faults = Vec::new();
    for kind in Kind::ALL {
        let file = format!("meter_{}.toml", kind.name().replace('-', "_"));
        let scenario = Scenario::load(&dir.join(&file)).unwrap();
        assert_eq!(scenario.meter.kind, kind, "{file}");
        let profile = &scenario.agent["meter"]["profile"];
        assert_eq!(profile.as_str(), Some(kind.name()), "{file}");
        let turns = scenario.events.iter().filter_map(|(_, event)| match event {
            Event::Turn(turn) => turn.meter_fault(),
            _ => None,
        });
        let before = faults.len();
        faults.extend(turns.map(|fault| fault.fault));
        assert!(faults.len() > before, "{file} has no fault");
    }
    for fault in [
        FaultKind::Late,
        FaultKind::Short,
        FaultKind::WrongUnit,
        FaultKind::Exception,
        FaultKind::Echo,
        FaultKind::Garbage,
        FaultKind::Frozen,
        FaultKind::WrongChecksum,
        FaultKind::Silent,
        FaultKind::ResetOnOpening,
    ] {
        assert!(faults.contains(&fault), "{fault:?} is in no scenario");
    }
}

#[test]
fn a_board_has_clocks_of_its_own_where_they_are_moved() {
    let moved = r#"
        [[at]]
        t = 5
        do = "turn_key"
        clock = "1970-01-01T00:00:10Z"
        [[at]]
        t = 9
        do = "set_clock"
        by_s = -3600
        synchronised = true
        "#;
    let said = refused(moved);
    assert!(said.contains("it needs a [clock] section"), "{said}");
    let clock = "[clock]\nwall = \"1970-01-01T00:00:12Z\"\n";
    let scenario = read(&format!("{clock}{moved}")).unwrap();
    let setup = BoardSetup { wall_ms: Some(12_000), synchronised: false };
    assert_eq!(scenario.clock, Some(setup));
    assert_eq!(scenario.events[0].1.to_string(), "turn key");
    let wrong = moved.replace("1970-01-01T00:00:10Z", "long ago");
    let said = refused(&format!("{clock}{wrong}"));
    assert!(said.contains("\"long ago\" is neither now nor a time like"), "{said}");
    let said = refused(&format!("{clock}[[at]]\nt = 1\ndo = \"set_clock\""));
    assert!(said.contains("what is set?"), "{said}");
}

#[test]
fn a_receiver_that_is_not_honest_is_so_in_a_way_that_is_known() {
    let scenario = read("[[at]]\nt = 1\ndo = \"spoil_fix\"\nhow = \"weeks_back\"").unwrap();
    let spoilt = Turn::SpoilFix { how: crate::gps::Spoil::WeeksBack };
    assert_eq!(scenario.events[0].1, Event::Turn(spoilt));
    assert!(refused("[[at]]\nt = 1\ndo = \"spoil_fix\"\nhow = \"lying\"").contains("lying"));
}
