//! Any interleaving of anchors, boots, starts and clocks that are set, against the real
//! store: a time never goes backwards within a boot, and never changes once it is frozen
//! (RULES.md, 15, 17 and 21).

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::append::tests::{reading, segment, to_job};
use super::{BatchLimits, FILE, Selector, Store, WireSettings};
use crate::clock::anchors::AnchorKeeper;
use crate::clock::{BootId, BootInstant, UtcMs};
use crate::config::StandIn;
use crate::delivery::Pick;
use crate::reading::{Place, Reading, SegmentReason, Seq};

/// 2027-05-02T10:16:42Z.
const NOON_MS: i64 = 1_809_253_002_000;

#[derive(Debug, Clone)]
enum Op {
    /// A reading, so many milliseconds after the one before, or after what came since.
    Record {
        gap: i64,
        placed: bool,
    },
    /// The receiver tells the time for so many seconds.
    Gps(i64),
    /// The system's clock is synchronised for so many seconds.
    System(i64),
    /// The receiver's, or the system's clock is off by so much from now on.
    SetGps(i64),
    SetSystem(i64),
    /// The crystal is off by so many parts in a million from now on.
    Drift(i64),
    /// The board was off for so many milliseconds.
    Boot(i64),
    /// The agent starts anew in the same boot.
    Start,
    Freeze(usize),
    /// A person dates the boot so many before the last, off by so much.
    Release {
        boot: usize,
        off: i64,
    },
    /// A person places the readings of the boot so many before the last.
    Place {
        boot: usize,
    },
}

fn off() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => Just(0_i64),
        2 => -3_000_i64..3_000,
        2 => -7_200_000_i64..7_200_000,
        1 => Just(-1_024 * 7 * 86_400_000_i64),
        1 => Just(-NOON_MS),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let gap = prop_oneof![3 => Just(1_000_i64), 2 => 1_000_i64..1_600, 2 => 1_000_i64..30_000];
    prop_oneof![
        24 => (gap, prop::bool::weighted(0.6))
            .prop_map(|(gap, placed)| Op::Record { gap, placed }),
        8 => (1_i64..80).prop_map(Op::Gps),
        4 => (1_i64..80).prop_map(Op::System),
        5 => off().prop_map(Op::SetGps),
        3 => off().prop_map(Op::SetSystem),
        1 => (-400_i64..400).prop_map(Op::Drift),
        1 => (0_i64..4_000_000).prop_map(Op::Boot),
        1 => Just(Op::Start),
        10 => (1_usize..20).prop_map(Op::Freeze),
        1 => (0_usize..3, off()).prop_map(|(boot, off)| Op::Release { boot, off }),
        4 => (0_usize..3).prop_map(|boot| Op::Place { boot }),
    ]
}

/// A rig with a true time, and clocks that tell another.
struct Rig {
    dir: tempfile::TempDir,
    store: Store,
    keeper: AnchorKeeper,
    /// True time, and when the running boot began by it, in milliseconds.
    now: i64,
    boots: Vec<i64>,
    gps_off: i64,
    system_off: i64,
    /// Boot time less true time since the boot began.
    drift_ppm: i64,
    drifted_us: i64,
    last_reading: Option<BootInstant>,
    counts: u64,
    frozen: BTreeMap<i64, (i64, Vec<u8>)>,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir, 1);
        Self {
            dir,
            store,
            keeper: AnchorKeeper::default(),
            now: NOON_MS,
            boots: vec![NOON_MS],
            gps_off: 0,
            system_off: 0,
            drift_ppm: 0,
            drifted_us: 0,
            last_reading: None,
            counts: 0,
            frozen: BTreeMap::new(),
        }
    }

    fn at(&self) -> BootInstant {
        BootInstant(self.now - self.boots.last().unwrap() + self.drifted_us / 1_000)
    }

    fn pass(&mut self, ms: i64) {
        self.now += ms;
        self.drifted_us += ms * self.drift_ppm / 1_000;
    }

    fn start(&mut self) {
        self.store = open(&self.dir, self.boots.len());
        self.keeper = AnchorKeeper::new(self.store.anchors().to_vec());
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Record { gap, placed } => self.record(gap, placed),
            Op::Gps(seconds) => {
                self.told(seconds, |rig, at| rig.keeper.gps(at, UtcMs(rig.now + rig.gps_off)))
            }
            Op::System(seconds) => {
                self.told(seconds, |rig, at| rig.keeper.system(at, UtcMs(rig.now + rig.system_off)))
            }
            Op::SetGps(off) => self.gps_off = off,
            Op::SetSystem(off) => self.system_off = off,
            Op::Drift(ppm) => self.drift_ppm = ppm,
            Op::Boot(off) => {
                self.now += off;
                self.boots.push(self.now);
                (self.drifted_us, self.last_reading) = (0, None);
                self.start();
            }
            Op::Start => self.start(),
            Op::Freeze(records) => self.freeze(records),
            Op::Release { boot, off } => {
                let Some(nth) = self.boots.len().checked_sub(boot + 1) else { return };
                let start = UtcMs(self.boots[nth] + off);
                // Refused or not, what must hold holds.
                let _ = self.store.release(nth as i64 + 1, start, None);
            }
            Op::Place { boot } => {
                let boot = self.boots.len() as i64 - boot as i64;
                let which = Selector { boot: Some(boot), ..Selector::default() };
                let place = Place { lat_e7: 1, lon_e7: 1 };
                self.store.place(&which, place).unwrap();
            }
        }
    }

    fn told(
        &mut self,
        seconds: i64,
        tell: impl Fn(&mut Self, BootInstant) -> Option<crate::clock::Anchor>,
    ) {
        for _ in 0..seconds {
            self.pass(1_000);
            let at = self.at();
            if let Some(anchor) = tell(self, at) {
                self.store.add_anchor(anchor).unwrap();
            }
        }
    }

    fn record(&mut self, gap: i64, placed: bool) {
        self.pass(gap);
        if self.last_reading.is_some_and(|last| self.at().since_ms(last) < 1_000) {
            return;
        }
        let first = self.counts == 0;
        self.counts += 100;
        let recorded = reading(0, self.counts, 100);
        let recorded = Reading {
            at: self.at(),
            segment: first.then(|| segment(0, 0, SegmentReason::First)).flatten(),
            span: first.then(|| to_job("a", false)).flatten(),
            place: recorded.place.filter(|_| placed),
            ..recorded
        };
        self.store.append(&recorded).unwrap();
        self.last_reading = Some(recorded.at);
    }

    fn freeze(&mut self, records: usize) {
        let wire = WireSettings {
            device_name: "rig-7".to_owned(),
            zone: jiff::tz::TimeZone::get("America/Chicago").unwrap(),
            stand_in: StandIn::default(),
        };
        let limits = BatchLimits { records, bytes: 1 << 20 };
        let pick = Pick::Oldest { skip: Vec::new(), but: Vec::new() };
        self.store.freeze(&pick, limits, &wire, BootInstant(0)).unwrap();
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let mut statement = self
            .store
            .db
            .prepare(
                "SELECT r.seq, r.boot, r.boottime_ms, d.utc_s, d.wire FROM reading r
                 LEFT JOIN delivery d ON d.seq = r.seq ORDER BY r.seq",
            )
            .unwrap();
        type Row = (i64, i64, BootInstant, Option<i64>, Option<Vec<u8>>);
        let rows: Vec<Row> = statement
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let mut last: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        let mut resolved: BTreeMap<i64, UtcMs> = BTreeMap::new();
        for (seq, boot, at, second, wire) in rows {
            if let Some(time) = self.store.time_of(boot, at) {
                let before = resolved.insert(boot, time);
                prop_assert!(before.is_none_or(|b| b <= time), "{seq}: {before:?} {time:?}");
            }
            let Some(frozen) = second.zip(wire) else { continue };
            let known = self.frozen.entry(seq).or_insert_with(|| frozen.clone());
            prop_assert_eq!(&*known, &frozen, "{:?} has changed", Seq(seq));
            if let Some((seq_before, before)) = last.insert(boot, (seq, frozen.0)) {
                prop_assert!(
                    before < frozen.0,
                    "{} of boot {boot} is of {}, and {seq_before} before it of {before}",
                    seq,
                    frozen.0
                );
            }
        }
        Ok(())
    }
}

fn open(dir: &tempfile::TempDir, boot: usize) -> Store {
    let store = Store::open(&dir.path().join(FILE), &BootId(format!("boot-{boot}"))).unwrap();
    // Nobody cuts the power here.
    store.db.execute_batch("PRAGMA synchronous = OFF").unwrap();
    store
}

/// Sixty sequences are seconds; `make nightly` asks for more.
fn cases() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = ProptestConfig::default();
    ProptestConfig { cases: if asked { config.cases } else { 60 }, ..config }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_time_never_goes_backwards_within_a_boot_and_never_changes_once_frozen(
        ops in prop::collection::vec(op(), 1..120)
    ) {
        let mut rig = Rig::new();
        for op in &ops {
            rig.step(op);
            rig.check()?;
        }
    }

    #[test]
    fn while_no_clock_is_wrong_every_time_is_the_truth_to_a_second(
        ops in prop::collection::vec(op(), 1..120)
    ) {
        let mut rig = Rig::new();
        let mut truth = BTreeMap::new();
        let honest = |op: &&Op| !matches!(
            op, Op::SetGps(_) | Op::SetSystem(_) | Op::Release { .. }
        );
        for op in ops.iter().filter(honest) {
            rig.step(op);
            rig.check()?;
            truth.entry(rig.store.last_seq().0).or_insert(rig.now);
        }
        for (seq, (second, _)) in &rig.frozen {
            let off = (*second * 1_000 - truth[seq]).abs();
            prop_assert!(off <= 1_999, "{seq} is off by {off} ms");
        }
    }
}
