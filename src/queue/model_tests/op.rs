//! What may happen to a queue, and how often. Numbers that stand for readings and boots
//! are taken modulo what there is, so that a shorter sequence still means something.

use proptest::prelude::*;

use crate::reading::SegmentReason;

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Op {
    Append(Append),
    /// A run of readings of the open span, five seconds apart.
    Run(u8),
    /// A good day: the time is known, what is ready is sent, and all of it arrives; perhaps
    /// the job is over; and perhaps what came before a reading is long ago then.
    Deliver {
        over: bool,
        long_ago: Option<u8>,
    },
    /// A reading that no row can hold.
    Unrecordable {
        job: u8,
    },
    Anchor {
        /// Before the last reading, in milliseconds.
        ago: i64,
        /// Off the time that the boots have by turns.
        skew: i64,
        /// Whether this boot's time is that of the first.
        overlaps: bool,
        system: bool,
    },
    Freeze {
        records: usize,
        alone: bool,
        skip: Vec<u8>,
        but: Option<u8>,
        /// These readings, instead of the oldest.
        these: Option<Vec<u8>>,
    },
    /// Of readings that were ever frozen; and a job (or 3, everything) to refuse.
    Settle {
        results: Vec<(u8, Became)>,
        refuse: Option<u8>,
    },
    /// Everything in doubt.
    SettleAll(Became),
    AllowAll,
    Assign {
        which: Which,
        times: Option<(u8, u8)>,
        job: u8,
    },
    Retry(Which),
    /// An operator takes readings out of delivery.
    TakeOut {
        which: Which,
        discard: bool,
    },
    /// What was delivered before this reading's second, and a little more, is long ago; of
    /// that, what comes after another's number.
    Prune {
        before: u8,
        more_s: i64,
        after: Option<u8>,
    },
    /// An operator tells when a boot began, off by so much.
    Release {
        boot: u8,
        off: i64,
    },
    /// An operator tells where readings were.
    Place(Which),
    /// Everything in the log goes into the database.
    Checkpoint,
    /// A quiet end, and a start.
    Reopen {
        reboot: bool,
    },
    /// The power goes between two commits, or inside one: `cut` of what it wrote to the
    /// log, in 256ths, is on the disk.
    Crash {
        inside: Option<(Box<Op>, u8)>,
        reboot: bool,
    },
}

#[derive(Debug, Clone)]
pub struct Append {
    /// Since the reading before, in milliseconds.
    pub gap: i64,
    pub counts: u64,
    pub placed: bool,
    /// The last one has no serial number.
    pub meter: u8,
    pub segment: Option<Segment>,
    /// A job (3 is none), and whether it owns the reading.
    pub span: Option<(u8, bool)>,
}

#[derive(Debug, Clone)]
pub struct Segment {
    pub reason: SegmentReason,
    pub carried: u64,
    pub from_zero: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum Became {
    Sent { id: bool },
    Open,
    Rejected,
}

#[derive(Debug, Clone)]
pub struct Which {
    pub seq: Option<(u8, u8)>,
    pub boot: Option<u8>,
}

pub fn op() -> impl Strategy<Value = Op> {
    let crash = (prop::option::of((change().prop_map(Box::new), any::<u8>())), any::<bool>());
    prop_oneof![
        20 => change(),
        1 => (100u8..140).prop_map(Op::Run),
        2 => (any::<bool>(), any::<Option<u8>>())
            .prop_map(|(over, long_ago)| Op::Deliver { over, long_ago }),
        1 => (0u8..4).prop_map(|job| Op::Unrecordable { job }),
        1 => Just(Op::Checkpoint),
        1 => any::<bool>().prop_map(|reboot| Op::Reopen { reboot }),
        3 => crash.prop_map(|(inside, reboot)| Op::Crash { inside, reboot }),
    ]
}

/// What is one transaction.
fn change() -> impl Strategy<Value = Op> {
    let ago = prop_oneof![Just(0i64), 0i64..60_000];
    let skew = prop_oneof![4 => Just(0i64), 1 => -3_000i64..3_000, 1 => -600_000i64..600_000];
    let anchor = (ago, skew, any::<bool>(), prop::bool::weighted(0.2));
    let these = prop::option::weighted(0.2, prop::collection::vec(any::<u8>(), 1..6));
    let freeze = (
        prop_oneof![1usize..6, Just(100)],
        prop::bool::weighted(0.2),
        prop::collection::vec(any::<u8>(), 0..3),
        prop::option::weighted(0.2, 0u8..3),
        these,
    );
    let results = prop::collection::vec((any::<u8>(), became()), 1..6);
    let settle = (results, prop::option::weighted(0.15, 0u8..4));
    let times = prop::option::weighted(0.3, any::<(u8, u8)>());
    let prune = (any::<u8>(), 0i64..30, prop::option::weighted(0.2, any::<u8>()));
    let off = prop_oneof![3 => Just(0i64), 1 => -7_200_000i64..7_200_000];
    prop_oneof![
        10 => append().prop_map(Op::Append),
        2 => anchor.prop_map(|(ago, skew, overlaps, system)| Op::Anchor {
            ago, skew, overlaps, system
        }),
        5 => freeze.prop_map(|(records, alone, skip, but, these)| Op::Freeze {
            records, alone, skip, but, these
        }),
        3 => settle.prop_map(|(results, refuse)| Op::Settle { results, refuse }),
        2 => became().prop_map(Op::SettleAll),
        1 => Just(Op::AllowAll),
        2 => (which(), times, 0u8..3).prop_map(|(which, times, job)| Op::Assign {
            which, times, job
        }),
        1 => which().prop_map(Op::Retry),
        2 => (any::<u8>(), off).prop_map(|(boot, off)| Op::Release { boot, off }),
        1 => which().prop_map(Op::Place),
        2 => (which(), any::<bool>()).prop_map(|(which, discard)| Op::TakeOut { which, discard }),
        2 => prune.prop_map(|(before, more_s, after)| Op::Prune { before, more_s, after }),
    ]
}

fn append() -> impl Strategy<Value = Append> {
    let reason = prop_oneof![
        Just(SegmentReason::Restart),
        Just(SegmentReason::Calibration),
        Just(SegmentReason::Rebase)
    ];
    let segment = (reason, prop_oneof![Just(0u64), 1u64..90], any::<bool>())
        .prop_map(|(reason, carried, from_zero)| Segment { reason, carried, from_zero });
    (
        prop_oneof![3 => Just(5_000i64), 2 => 1_000i64..1_600, 1 => 1_000i64..90_000],
        prop_oneof![Just(0u64), 1u64..900],
        prop::bool::weighted(0.8),
        prop_oneof![8 => Just(0u8), 2 => Just(1), 1 => Just(2)],
        prop::option::weighted(0.1, segment),
        prop::option::weighted(0.3, (0u8..4, any::<bool>())),
    )
        .prop_map(|(gap, counts, placed, meter, segment, span)| Append {
            gap,
            counts,
            placed,
            meter,
            segment,
            span,
        })
}

fn became() -> impl Strategy<Value = Became> {
    prop_oneof![
        3 => any::<bool>().prop_map(|id| Became::Sent { id }),
        2 => Just(Became::Open),
        1 => Just(Became::Rejected),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    (prop::option::of(any::<(u8, u8)>()), prop::option::weighted(0.3, any::<u8>()))
        .prop_map(|(seq, boot)| Which { seq, boot })
}
