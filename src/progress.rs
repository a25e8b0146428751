//! Proof of life: each long task beats at every turn of its loop, and the watchdog is
//! fed only while every task has beaten lately. Plain words; reads no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::BootInstant;

/// One task's pulse; clones share it.
#[derive(Debug, Clone)]
pub struct Pulse {
    task: &'static str,
    last_ms: Arc<AtomicI64>,
}

impl Pulse {
    /// A pulse that has beaten `now`.
    pub fn new(task: &'static str, now: BootInstant) -> Self {
        Self { task, last_ms: Arc::new(AtomicI64::new(now.0)) }
    }

    /// The task is alive `now`.
    pub fn beat(&self, now: BootInstant) {
        self.last_ms.store(now.0, Ordering::Relaxed);
    }

    /// Which task.
    pub fn task(&self) -> &'static str {
        self.task
    }

    /// Milliseconds since it beat.
    pub fn age_ms(&self, now: BootInstant) -> i64 {
        now.since_ms(BootInstant(self.last_ms.load(Ordering::Relaxed)))
    }
}
