//! A scenario from beginning to end: rig, server and agent, a line of progress a second,
//! and the judge's verdict. Knows no command line.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::bench::{Bench, BenchError, BenchOptions};
use crate::judge::{Kind, Verdict};
use crate::scenario::{Event, Scenario, Turn};

/// Between two lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// A stop of flow is recorded 3 s after it (RULES.md, 11); nothing is drained before.
const QUIET_AFTER: Duration = Duration::from_secs(5);

/// An agent has ended this long after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// A scenario that is being played.
struct Player<'a> {
    bench: Bench,
    begun: Instant,
    next_line: Instant,
    network_up: bool,
    happened: Vec<String>,
    drained: u32,
    say: &'a mut dyn FnMut(&str),
}

/// Plays a scenario with the agent at `agent` and judges it. `keep` leaves the agent's
/// directory behind; so does a verdict that isn't clean. What is to be read goes to `say`,
/// line by line.
///
/// # Errors
/// Where the bench doesn't work; whatever the agent does wrong is in the verdict.
pub async fn run(
    scenario: &Scenario,
    agent: &Path,
    keep: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Verdict, BenchError> {
    let mut options = BenchOptions::for_scenario(agent, scenario);
    options.keep = keep;
    let bench = Bench::start(options).await?;
    say(&format!(
        "{}: {} s and up to {} s to drain; server at {}",
        scenario.name,
        scenario.duration_s,
        scenario.drain_s,
        bench.server().base_url(),
    ));
    let begun = Instant::now();
    let mut player = Player {
        bench,
        begun,
        next_line: begun + LINE_EVERY,
        network_up: true,
        happened: Vec::new(),
        drained: 0,
        say,
    };
    for (t, event) in &scenario.events {
        player.pass_until(*t).await;
        player.happen(event).await?;
    }
    player.pass_until(scenario.duration_s).await;
    let end = player.end(scenario.drain_s).await?;
    Ok(end)
}

impl Player<'_> {
    /// Says a line a second until `t` seconds after the beginning.
    async fn pass_until(&mut self, t: f64) {
        let until = self.begun + Duration::from_secs_f64(t);
        while self.next_line <= until {
            sleep_until(self.next_line).await;
            self.line().await;
        }
        sleep_until(until).await;
    }

    async fn happen(&mut self, event: &Event) -> Result<(), BenchError> {
        match event {
            Event::Turn(Turn::CutNetwork {}) => self.network_up = false,
            Event::Turn(Turn::RestoreNetwork {}) => self.network_up = true,
            _ => {}
        }
        self.happened.push(event.to_string());
        self.bench.apply(event).await
    }

    /// Stops what still flows, connects what is cut, and waits until all is delivered.
    async fn end(mut self, drain_s: f64) -> Result<Verdict, BenchError> {
        let still_flows = self.bench.rig().meter().rate_gpm() > 0.0;
        for (needed, turn) in
            [(still_flows, Turn::StopSpraying {}), (!self.network_up, Turn::RestoreNetwork {})]
        {
            if needed {
                self.happen(&Event::Turn(turn)).await?;
            }
        }
        let over = Instant::now();
        let (quiet, limit) = (over + QUIET_AFTER, over + Duration::from_secs_f64(drain_s));
        self.drained = 0;
        while Instant::now() < limit && !(self.drained > 1 && Instant::now() >= quiet) {
            sleep_until(self.next_line).await;
            self.line().await;
        }
        let mut verdict = self.bench.judge_now().await;
        match self.bench.stop_agent().await {
            Err(err) => verdict.find(Kind::Mishap, err.to_string()),
            Ok(Some((status, _))) if !status.success() => {
                verdict.find(Kind::Mishap, format!("told to stop, the agent ended with {status}"));
            }
            Ok(Some((_, took))) if took > STOP_WITHIN => {
                let seconds = took.as_secs_f64();
                verdict.find(Kind::Mishap, format!("the agent took {seconds:.1} s to stop"));
            }
            Ok(_) => {}
        }
        if !verdict.is_clean() {
            self.bench.keep_dir();
        }
        self.bench.stop().await?;
        Ok(verdict)
    }

    async fn line(&mut self) {
        let look = self.bench.look().await;
        self.drained = if look.is_drained() { self.drained + 1 } else { 0 };
        let rig = self.bench.rig();
        let balance = look.status().balance;
        let agent = |number: u64| match &look.status {
            Some(_) => number.to_string(),
            None => "?".to_owned(),
        };
        let text = format!(
            "{:>4} s  {:>4.1} gpm {:>6} counts {:>5} recorded {:>5} delivered {:>4} backlog \
             {:>3} held  network {:<4}  {}",
            self.begun.elapsed().as_secs(),
            rig.meter().rate_gpm(),
            rig.meter().counted(),
            agent(balance.recorded),
            look.records.len(),
            agent(balance.backlog()),
            agent(balance.held),
            if self.network_up { "up" } else { "down" },
            self.happened.join("; "),
        );
        (self.say)(text.trim_end());
        self.happened.clear();
        // A look that took longer than a second leaves lines out, it does not catch up.
        let now = Instant::now();
        while self.next_line <= now {
            self.next_line += LINE_EVERY;
        }
    }
}
