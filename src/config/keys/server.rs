//! The keys of this rig, its server and its job.

use super::super::key::{Section, key};
use super::super::shape::{File, Size, Text, Time, Whole};
use super::super::valid::{self, HOUR, MINUTE, SECOND};

pub(super) const DEVICE: Section = Section {
    name: "device",
    doc: "This rig.",
    keys: &[
        key!(device.name: Text, "", Live, |v| valid::text(v, 60),
            "The rig's name, in every record as DeviceName. Empty: the host name."),
        key!(device.timezone: Text, "America/Chicago", Live, |v| valid::timezone(v),
            "Time zone in which the records' times are written: an IANA name. The zones are built in."),
        key!(device.data_dir: File, "/var/lib/spraylog", Restart, |v| valid::data_dir(v),
            "Where the records are kept until they are delivered, and after. It must survive a power cut: never a directory in memory."),
    ],
};

pub(super) const JOBCLOSER: Section = Section {
    name: "jobcloser",
    doc: "The server. Without an e-mail address and a password records are kept, and none are sent.",
    keys: &[
        key!(jobcloser.base_url: Text, "https://jobcloser.com", Live, |v| valid::base_url(v),
            "Scheme and host, with a port where it isn't the usual one. http:// is for a server on this machine alone."),
        key!(jobcloser.email_file: File, "/etc/spraylog/credentials/email", Live, |v| valid::absolute_or_empty(v),
            "File that holds the e-mail address to sign in with. Credentials from systemd come first."),
        key!(jobcloser.password_file: File, "/etc/spraylog/credentials/password", Live, |v| valid::absolute_or_empty(v),
            "File that holds the password. The password itself never goes into this file."),
        key!(jobcloser.company_id: Text, "", Live, |v| valid::id(v),
            "CompanyId. Empty: the one that sign-in answers."),
        key!(jobcloser.batch_records: Whole<usize>, "100", Live, |v| valid::within(v, 1, 10_000),
            "Records in one batch at most."),
        key!(jobcloser.batch_bytes: Size, "256 KiB", Live, |v| valid::size(v, 2 << 10, 64 << 20),
            "Bytes in one batch at most. A server that finds it too large gets smaller ones."),
        key!(jobcloser.body_wrapper: Text, "", Live, |v| valid::text(v, 60),
            "A key around the array of records, if the server wants one. Empty: a bare array."),
        key!(jobcloser.max_count: Whole<u64>, "2147483647", Live, |v| valid::within(v, 1_000_000, i64::MAX as u64),
            "The largest count the server can store. Before a count passes it, the count and its zero are moved down together."),
        key!(jobcloser.timeout: Time, "30s", Live, |v| valid::time(v, SECOND, 10 * MINUTE),
            "How long a request may take. When records are read back: how long the server may be silent."),
        key!(jobcloser.settle_after: Time, "60s", Live, |v| valid::time(v, SECOND, HOUR),
            "How long to wait after a request without an answer before asking the server what it stored. Too short, and a slow server's records could be sent twice."),
        key!(jobcloser.ca_file: File, "", Live, |v| valid::absolute_or_empty(v),
            "PEM file with an extra root certificate, for a private server. Empty: none."),
    ],
};

pub(super) const JOB: Section = Section {
    name: "job",
    doc: "A fixed assignment, for a rig that works on one job only. Usually empty: `spraylog job use` sets the job.",
    keys: &[
        key!(job.event_id: Text, "", Live, |v| valid::id(v),
            "EventId, 30 hexadecimal digits. It goes together with job_id."),
        key!(job.job_id: Text, "", Live, |v| valid::id(v),
            "JobId, 30 hexadecimal digits. It goes together with event_id."),
        key!(job.job_item_id: Text, "", Live, |v| valid::id(v),
            "JobItemId, if the job has items."),
        key!(job.product_id: Text, "", Live, |v| valid::id(v),
            "ProductId: the chemical."),
        key!(job.note: Text, "", Live, |v| valid::text(v, 250),
            "Text for the note of every record. What doesn't fit behind the record's own id and flags is cut."),
    ],
};
