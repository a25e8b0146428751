//! The word to stop, as every long task hears it.

use tokio::sync::watch;

/// Says stop to every task that holds a [`Stop`].
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// A task's ear for the word to stop; clones hear the same word.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// A stopper and the first ear.
pub fn channel() -> (Stopper, Stop) {
    let (said, heard) = watch::channel(false);
    (Stopper(said), Stop(heard))
}

impl Stopper {
    /// Says it. Dropping the stopper says it too.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits for the word; returns at once when it has been said.
    pub async fn asked(&mut self) {
        // An error means that the stopper is gone, which is as good as the word.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether it has been said.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_ear_hears_the_word_even_if_it_was_said_before() {
        let (stopper, mut stop) = channel();
        let mut late = stop.clone();
        assert!(!stop.is_asked());
        stopper.stop();
        stop.asked().await;
        late.asked().await;
        assert!(late.is_asked());
    }

    #[tokio::test]
    async fn a_stopper_that_is_gone_stops_everything() {
        let (stopper, mut stop) = channel();
        drop(stopper);
        stop.asked().await;
        assert!(stop.is_asked());
    }
}
