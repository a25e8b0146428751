//! The calls about single records, and a short list whole: for a test record, and for who
//! looks at what one record came back as. One request each, as everywhere here.
//!
//! Doesn't know what an answer proves.

use reqwest::header::ACCEPT;

use super::{ANSWER_MAX, Client, failure, read};
use crate::jobcloser::verdict::Exchange;

/// What is asked. The page has a GET for each of them, for deleting too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask<'a> {
    /// `getall`: what is stored for a job, and for one event of it or any. An answer
    /// longer than 4 MiB, about 5000 records, is lost.
    Held {
        /// `jobId`.
        job: &'a str,
        /// `eventId`.
        event: Option<&'a str>,
    },
    /// `delete`, for good.
    Delete {
        /// `id`.
        id: &'a str,
    },
}

impl Client {
    /// Asks once, within `timeout` in all.
    pub async fn ask(&self, what: Ask<'_>) -> Exchange {
        let path = match what {
            Ask::Held { .. } => "/api/chemicalapplicationlocations/getall",
            Ask::Delete { .. } => "/api/chemicalapplicationlocations/delete",
        };
        let mut url = self.endpoint(path);
        match what {
            Ask::Held { job, event } => {
                let mut query = url.query_pairs_mut();
                query.append_pair("jobId", job);
                if let Some(event) = event {
                    query.append_pair("eventId", event);
                }
            }
            Ask::Delete { id } => drop(url.query_pairs_mut().append_pair("id", id)),
        }
        let request = self.http.get(url).header(ACCEPT, "application/json").timeout(self.timeout);
        match request.send().await {
            Ok(response) => read(response, ANSWER_MAX, None).await,
            Err(err) => failure::exchange(err, None),
        }
    }
}
