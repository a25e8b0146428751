//! The task of a meter that is asked: listens at its outlet and answers. What it answers is
//! [`Exchange`](crate::meter::Exchange)'s. Where nobody asks, the truth gets what it would
//! have shown, unheard, so that silence can be judged.

use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::{MeterBench, MeterKnob};
use crate::meter::{Line, Said};
use crate::outlet::OutletError;
use crate::rig::lock;
use crate::truth::Trouble;

/// A pseudoterminal's master can't be waited on while nobody has the slave open, so it is
/// looked at. Twice as fast as the meter thinks.
const LISTEN_EVERY: Duration = Duration::from_millis(5);

/// What the truth is told of one look at the outlet.
struct Shown {
    line: Line,
    heard: bool,
    honest: bool,
}

impl MeterKnob {
    pub(super) async fn answer_questions(&self, mut stopped: watch::Receiver<bool>) {
        let mut lost = false;
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(LISTEN_EVERY) => {}
            }
            let conversed = self.converse();
            if let (Err(err), false) = (&conversed, lost) {
                warn!(%err, "meter port lost");
            }
            lost = conversed.is_err();
        }
    }

    fn converse(&self) -> Result<(), OutletError> {
        let now = self.clock.now_ms();
        let mut bench = lock(&self.bench);
        let heard = bench.outlet.listen();
        let reset = bench.reset_if_opened(now);
        let mut shown = Vec::new();
        let MeterBench { meter, outlet, exchange, dice, next_ms, .. } = &mut *bench;
        exchange.hear(heard.as_deref().unwrap_or_default(), meter, now, dice);
        while let Some(Said { bytes, line, honest }) = exchange.due(now) {
            let heard = outlet.write(&bytes).is_ok_and(|written| written.heard());
            shown.extend(line.map(|line| Shown { line, heard, honest }));
        }
        if shown.is_empty() && now >= *next_ms {
            shown.push(Shown { line: meter.shown(now), heard: false, honest: true });
        }
        if !shown.is_empty() {
            bench.next_ms = now + bench.period_ms;
        }
        let quiet = !bench.exchange.is_troubled() && !bench.meter.is_frozen();
        drop(bench);
        self.note(reset);
        let mut truth = self.truth.lock();
        for Shown { line, heard, honest } in shown {
            truth.line(now, &line, heard, honest);
            if quiet && heard && honest && !line.glitch {
                truth.end(Trouble::MeterNoise, now);
            }
        }
        heard.map(drop)
    }
}
