//! The network as it is on the road: every kind of failure that the server on the bench
//! has, thrown by dice. Left out is what loses by the server's own word: success for a record
//! that it dropped, and a refusal, which rejects a reading that was alone.

use hil_sim::bench::Bench;
use hil_sim::dice::Dice;
use hil_sim::jobcloser::{Fault, FaultOrder, Target, Times};

/// The failures of a call that stores.
fn failures() -> Vec<Fault> {
    let busy = |code, retry_after: Option<&str>| Fault::Status {
        code,
        retry_after: retry_after.map(str::to_owned),
    };
    vec![
        busy(500, None),
        busy(503, None),
        busy(429, Some("1")),
        Fault::StatusAfterStoring { code: 502 },
        Fault::Html,
        Fault::Redirect { to: "/elsewhere".to_owned() },
        Fault::ExpireSession,
        Fault::StoreAndDrop,
        Fault::DropBeforeStoring,
        Fault::StoreAndHang { ms: 600 },
        Fault::Hang { ms: 600 },
        // Later than that it would be a second delivery that nobody can exclude.
        Fault::StoreLate { ms: 300 },
        Fault::Garbage,
    ]
}

/// Something new goes wrong, or nothing; what went wrong before is over.
pub async fn fail_at_random(bench: &mut Bench, dice: &mut Dice) {
    heal(bench).await;
    let failures = failures();
    let thrown = dice.below(failures.len() as u64 + 6) as usize;
    match failures.get(thrown) {
        Some(fault) => bench.server().fault(fault.clone(), Times::Next(1)),
        None if thrown < failures.len() + 2 => bench.server().go_away().await,
        None if thrown < failures.len() + 4 => {
            // What it would know of the batch in doubt is late, half or not to be had.
            let fault = [Fault::Garbage, Fault::Hang { ms: 500 }, Fault::StoreAndDrop];
            let fault = fault[dice.below(3) as usize].clone();
            bench.server().fault(Fault::StoreAndDrop, Times::Next(1));
            let order = FaultOrder { fault, path: Target::GetAll, times: Times::Next(1) };
            bench.server().order(order);
        }
        None => {}
    }
}

/// The network is there, and the server well.
pub async fn heal(bench: &mut Bench) {
    bench.server().clear_faults();
    bench.server().come_back().await.unwrap();
}
