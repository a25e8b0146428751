//! The page's parameters as tables: for each call its names, which are required, and what
//! kind of value each is.
//!
//! Source: `jobcloser-api.txt`, the sections from "Chemical Applications List" on, and the
//! kinds from the example answer there. Knows nothing of how values are checked.

use super::call::Call;

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 30 hexadecimal digits.
    Id,
    /// The same, or null, as `JobItemId` is in the example.
    IdOrNull,
    /// Text that isn't empty.
    Text,
    /// Text of at most [`NOTE_CHARS`] characters.
    Note,
    /// `2019-05-02T10:16:42-05:00`.
    Date,
    /// Degrees as text, -90 to 90, at most [`DECIMALS`] decimals.
    Latitude,
    /// Degrees as text, -180 to 180, at most [`DECIMALS`] decimals.
    Longitude,
    /// An integer of 32 bits with its sign.
    Count,
    /// A number.
    Number,
    /// A number, or null where the rig has no such sensor.
    Sensor,
}

/// Whether a field belongs to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The page requires it.
    Required,
    /// The page allows it.
    Optional,
    /// The page doesn't list it.
    Absent,
}

/// One parameter of `create`, `createbatch` and edit.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// As on the page.
    pub name: &'static str,
    /// What it must look like.
    pub kind: Kind,
    /// For `create` and `createbatch`.
    pub create: Need,
    /// For edit, PUT to `create`.
    pub edit: Need,
}

/// One parameter in a query.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// As on the page.
    pub name: &'static str,
    /// Whether the call needs it; an optional one may be empty.
    pub required: bool,
    /// Whether it is an id of 30 hexadecimal digits.
    pub id: bool,
}

/// Characters in a `Note` at most.
pub const NOTE_CHARS: usize = 250;

/// Decimals of a degree at most: about a centimetre.
pub const DECIMALS: usize = 7;

use Kind::{Count, Date, Id, IdOrNull, Latitude, Longitude, Note, Number, Sensor, Text};
use Need::{Absent, Optional, Required};

/// "Chemical Application Create", "Create Batch" and "Edit".
pub const FIELDS: [Field; 22] = [
    field("Id", Id, Absent, Required),
    field("EventId", Id, Required, Required),
    field("JobId", Id, Required, Required),
    field("ApplicationDate", Date, Required, Absent),
    field("Latitude", Latitude, Required, Required),
    field("Longitude", Longitude, Required, Required),
    field("MeterSerialNumber", Text, Required, Required),
    field("MeterRawCount", Count, Required, Required),
    field("MeterCurrentRate", Sensor, Required, Required),
    field("MeterCalculatedFlowTotal", Number, Required, Required),
    field("MeterRawCountsToZero", Count, Required, Required),
    field("TemperatureOfFluid", Sensor, Required, Required),
    field("AmbientTemperature", Sensor, Required, Required),
    field("BatteryStatusInPercent", Sensor, Required, Required),
    field("BatteryStatusInEstimatedRunTime", Sensor, Required, Required),
    field("Note", Note, Required, Absent),
    field("DeviceName", Text, Required, Absent),
    field("CalibrationFactor", Number, Required, Absent),
    field("JobItemId", IdOrNull, Optional, Optional),
    field("ProductId", IdOrNull, Optional, Optional),
    field("DateCreated", Date, Optional, Optional),
    field("CreatedBy", Id, Optional, Optional),
];

const ID: [Param; 1] = [required_id("id")];

const SIGN_IN: [Param; 2] = [required("email"), required("password")];

const GET_ALL: [Param; 4] = [
    required_id("jobId"),
    Param { name: "eventId", required: false, id: true },
    Param { name: "jobItemId", required: false, id: true },
    Param { name: "productId", required: false, id: true },
];

const IMAGE_BY_URL: [Param; 5] = [
    required_id("eventId"),
    required("url"),
    optional("caption"),
    optional("latitude"),
    optional("longitude"),
];

/// Documented calls of other parts of the page, which aren't simulated.
const ELSEWHERE: [&str; 12] = [
    "/api/companies/",
    "/api/jobs/",
    "/api/customers/",
    "/api/events/",
    "/api/products/",
    "/api/crews/",
    "/api/employees/",
    "/api/invoices/",
    "/api/locations/",
    "/api/trackableassets/",
    "/api/vendors/",
    "/api/zapier/",
];

/// The query parameters of a call; none for those with a body.
pub fn params(call: Call) -> &'static [Param] {
    match call {
        Call::SignIn => &SIGN_IN,
        Call::Account | Call::Get | Call::Delete => &ID,
        Call::GetAll => &GET_ALL,
        Call::ImageByUrl => &IMAGE_BY_URL,
        Call::Create | Call::Edit | Call::CreateBatch | Call::ImageByBytes => &[],
    }
}

/// Whether the page documents something at that path that isn't simulated.
pub fn documented_elsewhere(path: &str) -> bool {
    ELSEWHERE.iter().any(|part| path.starts_with(part))
}

const fn field(name: &'static str, kind: Kind, create: Need, edit: Need) -> Field {
    Field { name, kind, create, edit }
}

const fn required(name: &'static str) -> Param {
    Param { name, required: true, id: false }
}

const fn required_id(name: &'static str) -> Param {
    Param { name, required: true, id: true }
}

const fn optional(name: &'static str) -> Param {
    Param { name, required: false, id: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn create_has_the_seventeen_required_and_four_optional_names_of_the_page() {
        let count = |need| FIELDS.iter().filter(|field| field.create == need).count();
        assert_eq!((count(Required), count(Optional)), (17, 4));
    }

    #[test]
    fn edit_has_the_fourteen_required_and_four_optional_names_of_the_page() {
        let count = |need| FIELDS.iter().filter(|field| field.edit == need).count();
        assert_eq!((count(Required), count(Optional)), (14, 4));
    }
}
