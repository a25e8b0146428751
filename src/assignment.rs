//! Which assignment is wanted: the technician's pick before a fixed `[job]`, else none.
//! Pure.

use crate::config;
use crate::reading::{Assignment, Origin};

/// What is wanted of the liquid: whose it is, and who says so.
pub type Wanted = Option<(Assignment, Origin)>;

/// What is wanted, and who says so.
pub fn wanted(pick: Option<Assignment>, fixed: &config::Job) -> Wanted {
    match pick {
        // A note that the technician didn't give is the configured one.
        Some(pick) if pick.note.is_empty() => {
            Some((Assignment { note: fixed.note.clone(), ..pick }, Origin::Pick))
        }
        Some(pick) => Some((pick, Origin::Pick)),
        None => from_config(fixed).map(|assignment| (assignment, Origin::Fixed)),
    }
}

fn from_config(job: &config::Job) -> Option<Assignment> {
    let given = |id: &String| (!id.is_empty()).then(|| id.clone());
    Some(Assignment {
        event: given(&job.event_id)?,
        job: given(&job.job_id)?,
        item: given(&job.job_item_id),
        product: given(&job.product_id),
        note: job.note.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed() -> config::Job {
        config::Job {
            event_id: "e1".into(),
            job_id: "j1".into(),
            note: "wind 4 mph".into(),
            ..config::Job::default()
        }
    }

    fn pick() -> Assignment {
        Assignment {
            event: "e2".into(),
            job: "j2".into(),
            item: None,
            product: None,
            note: String::new(),
        }
    }

    #[test]
    fn the_technicians_pick_goes_before_the_fixed_job() {
        let (assignment, origin) = wanted(Some(pick()), &fixed()).unwrap();
        assert_eq!((assignment.job.as_str(), origin), ("j2", Origin::Pick));
        assert_eq!(assignment.note, "wind 4 mph");
    }

    #[test]
    fn without_a_pick_the_fixed_job_is_wanted() {
        let (assignment, origin) = wanted(None, &fixed()).unwrap();
        assert_eq!((assignment.job.as_str(), assignment.item, origin), ("j1", None, Origin::Fixed));
    }

    #[test]
    fn half_an_assignment_is_none() {
        let half = config::Job { event_id: String::new(), ..fixed() };
        assert_eq!(wanted(None, &half), None);
        assert_eq!(wanted(None, &config::Job::default()), None);
    }
}
