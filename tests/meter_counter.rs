//! Properties of the counter's judgement: whatever happens to the lines on their way, the
//! counts that it returns are those that the meter made. The meter here is simulated from
//! `RULES.md` alone: one line a second, never above the greatest rate.
//!
//! Damaged lines (their checksum right by chance) come singly: two good lines lie between
//! them, and between them and a gap.

#![allow(clippy::unwrap_used, reason = "a test may")]

use proptest::prelude::*;
use spraylog::clock::BootInstant;
use spraylog::meter::counter::{Counter, GAP_MS, Judged, Registers, RestartFrom, Rules, Seen};
use spraylog::units::KFactor;

/// 40 gallons a minute at 126.7 counts a gallon, rounded down.
const MOST_COUNTS_PER_S: u64 = 84;

fn rules(modulus: u64, seq: bool) -> Rules {
    Rules {
        modulus,
        max_rate_gpm: 40.0,
        k: KFactor::new(126.7).unwrap(),
        restart_from: RestartFrom::Zero,
        rollover_register: false,
        seq_modulus: seq.then_some(65_536),
    }
}

fn seen(raw: u64, seq: Option<u16>, at: Option<i64>) -> Seen {
    Seen { raw, seq, at: at.map(BootInstant), registers: Registers::default() }
}

/// What happens before some good lines.
#[derive(Debug, Clone)]
enum Trouble {
    Nothing,
    /// So many lines get lost.
    Lost(u32),
    Reopened,
    /// So many lines get lost, more than a minute of them.
    Silence(u32),
    /// The board boots; the meter goes on meanwhile for so many seconds.
    Boot(u32),
    /// The meter begins again, and so many lines get lost.
    Restart(u32),
}

/// What a damaged line says instead.
#[derive(Debug, Clone)]
struct Damage {
    raw: Wrong,
    seq: Wrong,
}

#[derive(Debug, Clone)]
enum Wrong {
    Right,
    By(i64),
    Anything(u64),
}

impl Wrong {
    fn of(&self, right: u64, modulus: u64) -> u64 {
        match self {
            Self::Right => right,
            Self::By(by) => right.saturating_add_signed(*by) % modulus,
            Self::Anything(raw) => *raw,
        }
    }
}

#[derive(Debug, Clone)]
struct Block {
    trouble: Trouble,
    damage: Option<Damage>,
    /// Counts in each second of the good lines that follow: two at least.
    flow: Vec<u64>,
    /// Lines lost after each of them.
    lost: u32,
}

fn damage() -> impl Strategy<Value = Damage> {
    let raw = prop_oneof![
        1 => Just(Wrong::Right),
        4 => (-700_i64..700).prop_map(Wrong::By),
        2 => any::<u64>().prop_map(Wrong::Anything),
        1 => (0_u64..1_000).prop_map(Wrong::Anything),
    ];
    let seq = prop_oneof![
        3 => Just(Wrong::Right),
        2 => (-200_i64..200).prop_map(Wrong::By),
        1 => (0_u64..65_536).prop_map(Wrong::Anything),
    ];
    (raw, seq).prop_map(|(raw, seq)| Damage { raw, seq })
}

fn flow() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        prop::collection::vec(0..=MOST_COUNTS_PER_S, 2..6),
        prop::collection::vec(Just(MOST_COUNTS_PER_S), 2..40),
        prop::collection::vec(Just(0), 2..6),
    ]
}

fn blocks(trouble: impl Strategy<Value = Trouble>) -> impl Strategy<Value = Vec<Block>> {
    let block = (trouble, prop::option::of(damage()), flow(), 0_u32..4)
        .prop_map(|(trouble, damage, flow, lost)| Block { trouble, damage, flow, lost });
    prop::collection::vec(block, 1..25)
}

/// A meter, the line, and the counter at its other end.
struct Bench {
    rules: Rules,
    counter: Counter,
    now_ms: i64,
    raw: u64,
    seq: u64,
    per_s: u64,
    /// Counts that the meter made since the baseline.
    made: u128,
    /// Counts that the counter returned.
    found: u128,
    restarts: (u32, u32),
    /// What the counter still owed when a boot made it forget.
    forgiven: u128,
}

impl Bench {
    fn new(rules: Rules, raw: u64, seq: u64) -> Self {
        let mut bench = Self {
            rules,
            counter: Counter::new(None),
            now_ms: 5_000,
            raw,
            seq,
            per_s: 0,
            made: 0,
            found: 0,
            restarts: (0, 0),
            forgiven: 0,
        };
        bench.good_line();
        bench.good_line();
        assert_eq!((bench.counter.last().unwrap().raw, bench.found), (raw, 0));
        bench
    }

    /// The meter goes on for so many seconds, and none of its lines is heard.
    fn lose(&mut self, lines: u32) {
        let counts = u128::from(self.per_s) * u128::from(lines);
        self.now_ms += i64::from(lines) * 1_000;
        self.seq = (self.seq + u64::from(lines)) % 65_536;
        let raw = (u128::from(self.raw) + counts) % u128::from(self.rules.modulus);
        self.raw = u64::try_from(raw).unwrap();
        self.made += counts;
    }

    fn good_line(&mut self) {
        self.lose(1);
        self.judge(self.raw, self.seq);
    }

    fn damaged_line(&mut self, damage: &Damage) {
        self.lose(1);
        self.judge(damage.raw.of(self.raw, self.rules.modulus), damage.seq.of(self.seq, 65_536));
    }

    fn judge(&mut self, raw: u64, seq: u64) {
        let seq = Some(u16::try_from(seq).unwrap());
        let before = self.counter.last().zip(self.last_at());
        let judged = self.counter.judge(&self.rules, seen(raw, seq, Some(self.now_ms)));
        match judged {
            Judged::First | Judged::Suspect => {}
            Judged::Advanced { counts, how } => {
                self.found += u128::from(counts);
                assert!(counts > 0 || !how.gap);
                // What came within a minute in one boot is no gap, unless a reopened port
                // says so; what came later always is.
                if before.is_some_and(|(_, at)| self.now_ms - at > 2 * GAP_MS) {
                    assert_eq!(how.gap, counts > 0);
                }
            }
            Judged::Restarted { counts, gap } => {
                self.found += u128::from(counts);
                self.restarts.1 += 1;
                assert!(counts > 0 || !gap);
            }
        }
    }

    fn last_at(&self) -> Option<i64> {
        Some(self.counter.last()?.at?.0)
    }

    fn run(&mut self, block: &Block) {
        self.per_s = block.flow.first().copied().unwrap_or(0);
        match block.trouble {
            Trouble::Nothing => {}
            Trouble::Lost(lines) | Trouble::Silence(lines) => self.lose(lines),
            Trouble::Reopened => self.counter.reopened(),
            Trouble::Boot(seconds) => {
                self.lose(seconds);
                self.forgiven += u128::from(self.counter.ahead());
                let last = self.counter.last().unwrap();
                self.counter = Counter::new(Some(Seen { at: None, ..last }));
                self.now_ms = 20_000;
            }
            Trouble::Restart(lines) => {
                (self.raw, self.seq) = (0, 0);
                self.restarts.0 += 1;
                // A damaged line before this one, if its excess was not paid back, is
                // part of what the old count brought.
                self.forgiven += u128::from(self.counter.ahead());
                self.lose(lines);
            }
        }
        if let Some(damage) = &block.damage {
            self.damaged_line(damage);
        }
        for counts in &block.flow {
            self.per_s = *counts;
            self.good_line();
            self.lose(block.lost);
        }
        // Whatever was lost last, the next trouble finds a believed count.
        self.good_line();
        self.good_line();
    }

    /// So many lines at a rate, and two at rest: the last line may be the first after a
    /// rollover, which waits for another.
    fn flow(&mut self, counts_per_s: u64, lines: u32) {
        self.per_s = counts_per_s;
        (0..lines).for_each(|_| self.good_line());
        self.per_s = 0;
        self.good_line();
        self.good_line();
    }

    /// Nothing lost, nothing invented; and after two minutes of full flow not even what a
    /// damaged line within the bound brought too early.
    fn settle(&mut self) {
        self.flow(0, 0);
        let owed = u128::from(self.counter.ahead()) + self.forgiven;
        assert_eq!(self.found, self.made + owed);
        self.flow(MOST_COUNTS_PER_S, 120);
        assert_eq!((self.found, self.counter.ahead()), (self.made + self.forgiven, 0));
        assert_eq!(self.restarts.0, self.restarts.1);
    }
}

fn modulus() -> impl Strategy<Value = u64> {
    // From four bounds of a minute to half of all there are, every magnitude alike.
    (15_u32..63, any::<u64>()).prop_map(|(bits, n)| (1 << bits) + n % (1 << bits))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lost_and_damaged_lines_and_rollovers_lose_nothing_and_invent_nothing(
        modulus in modulus(),
        seq in any::<bool>(),
        before_the_end in 0_u64..3_000,
        first_seq in 0_u64..65_536,
        blocks in blocks(prop_oneof![Just(Trouble::Nothing), (1_u32..25).prop_map(Trouble::Lost)]),
    ) {
        let mut bench = Bench::new(rules(modulus, seq), modulus - 1 - before_the_end, first_seq);
        blocks.iter().for_each(|block| bench.run(block));
        bench.settle();
    }

    #[test]
    fn boots_silences_and_reopened_ports_lose_nothing_and_invent_nothing(
        seq in any::<bool>(),
        first_seq in 0_u64..65_536,
        raw in prop_oneof![1_u64 << 40..1 << 50, 1_u64 << 17..1 << 23],
        blocks in blocks(prop_oneof![
            Just(Trouble::Reopened),
            (1_u32..25).prop_map(Trouble::Lost),
            (61_u32..8_000).prop_map(Trouble::Silence),
            (8_000_u32..300_000).prop_map(Trouble::Silence),
            (0_u32..100_000).prop_map(Trouble::Boot),
        ]),
    ) {
        let mut bench = Bench::new(rules(1 << 63, seq), raw, first_seq);
        blocks.iter().for_each(|block| bench.run(block));
        bench.settle();
    }

    /// A restart from 0 brings what the meter made since: nothing of what it made between
    /// the last line heard and the restart (none here), and all of what it made since.
    #[test]
    fn restarts_bring_all_that_the_meter_made_since(
        raw in 0_u64..1 << 31,
        blocks in blocks(prop_oneof![
            3 => Just(Trouble::Nothing),
            2 => (1_u32..25).prop_map(Trouble::Lost),
            2 => (0_u32..40).prop_map(Trouble::Restart),
        ]),
    ) {
        let mut bench = Bench::new(rules(1 << 32, true), raw, 1_000);
        for block in &blocks {
            let mut block = block.clone();
            // A meter that restarts before it has told two hundred lines may look as if
            // it had gone on; see `Counter`.
            if matches!(block.trouble, Trouble::Restart(_)) {
                bench.per_s = MOST_COUNTS_PER_S;
                (0..300).for_each(|_| bench.good_line());
                block.damage = None;
            }
            bench.run(&block);
        }
        bench.settle();
    }

    #[test]
    fn no_input_overflows_or_panics(
        modulus in any::<u64>(),
        max_rate_gpm in prop_oneof![any::<f64>(), 0.0..1e9],
        k in 1e-300..1e300_f64,
        seq_modulus in prop::option::of(any::<u32>()),
        rollover_register in any::<bool>(),
        zero in any::<bool>(),
        last in prop::option::of((any::<u64>(), any::<Option<u16>>(), any::<Option<i64>>())),
        lines in prop::collection::vec(
            (prop_oneof![any::<u64>(), 0_u64..5, Just(u64::MAX - 1)], any::<Option<u16>>(),
             prop_oneof![any::<i64>(), 0_i64..100_000], any::<bool>(),
             prop::option::of(prop_oneof![any::<u64>(), 0_u64..3]), prop::option::of(0_u64..3)),
            0..30,
        ),
    ) {
        let rules = Rules {
            modulus,
            max_rate_gpm,
            k: KFactor::new(k).unwrap(),
            restart_from: if zero { RestartFrom::Zero } else { RestartFrom::Unknown },
            rollover_register,
            seq_modulus,
        };
        let last = last.map(|(raw, seq, at)| seen(raw, seq, at));
        let mut counter = Counter::new(last);
        for (raw, seq, at, reopened, turns, power_up) in lines {
            if reopened {
                counter.reopened();
            }
            let registers = Registers { rollover: turns, power_up };
            counter.judge(&rules, Seen { registers, ..seen(raw, seq, Some(at)) });
            let _ = rules.modulus_is_narrow();
        }
    }
}
