//! The running tasks by name: every one is joined, and one that ends unasked is noticed.
//! Knows nothing of what they do.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{error, warn};

use super::AgentError;

/// Tasks that have been started and not yet joined.
#[derive(Debug, Default)]
pub struct Tasks {
    running: Vec<(&'static str, JoinHandle<Result<(), AgentError>>)>,
}

impl Tasks {
    /// Starts one.
    pub fn start(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), AgentError>> + Send + 'static,
    ) {
        self.running.push((name, tokio::spawn(task)));
    }

    /// Waits until any of them ends, which none should.
    pub async fn first_end(&mut self) -> AgentError {
        let (name, ended) = std::future::poll_fn(|cx| {
            for (name, handle) in &mut self.running {
                if let std::task::Poll::Ready(ended) = std::pin::Pin::new(handle).poll(cx) {
                    return std::task::Poll::Ready((*name, ended));
                }
            }
            std::task::Poll::Pending
        })
        .await;
        self.running.retain(|(running, _)| *running != name);
        match ended {
            Ok(Err(err)) => err,
            Ok(Ok(())) => AgentError::Ended(name),
            Err(err) => {
                error!(task = name, %err, "task panicked");
                AgentError::Ended(name)
            }
        }
    }

    /// Waits for these to end, so long at most together, and then aborts the rest of them.
    pub async fn join(&mut self, names: &[&str], limit: Duration) {
        let until = Instant::now() + limit;
        let (leaving, staying) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|(name, _)| names.contains(name));
        self.running = staying;
        let leaving: Vec<(&'static str, JoinHandle<Result<(), AgentError>>)> = leaving;
        for (name, mut handle) in leaving {
            match timeout_at(until, &mut handle).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(err))) => {
                    error!(
                        task = name,
                        err = &err as &dyn std::error::Error,
                        "task failed while stopping"
                    );
                }
                Ok(Err(err)) => error!(task = name, %err, "task panicked"),
                Err(_) => {
                    warn!(task = name, "task did not stop in time");
                    handle.abort();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_named() {
        let mut tasks = Tasks::default();
        tasks.start("meter", std::future::pending());
        tasks.start("gps", async { Ok(()) });
        assert!(matches!(tasks.first_end().await, AgentError::Ended("gps")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_not_waited_for_for_ever() {
        let mut tasks = Tasks::default();
        tasks.start("drain", std::future::pending());
        let begun = Instant::now();
        tasks.join(&["drain"], Duration::from_secs(3)).await;
        assert_eq!(begun.elapsed().as_secs(), 3);
    }
}
