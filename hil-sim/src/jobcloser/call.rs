//! The calls of the page that are simulated: path, method, name. Pure.
//!
//! Knows nothing of what a call does.

use axum::http::Method;

/// A documented call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// `GET /api/account/signin`
    SignIn,
    /// `GET /api/account/get`
    Account,
    /// `GET /api/chemicalapplicationlocations/getall`
    GetAll,
    /// `GET /api/chemicalapplicationlocations/get`
    Get,
    /// `POST /api/chemicalapplicationlocations/create`
    Create,
    /// `PUT /api/chemicalapplicationlocations/create`
    Edit,
    /// `POST /api/chemicalapplicationlocations/createbatch`
    CreateBatch,
    /// `GET /api/chemicalapplicationlocations/delete`
    Delete,
    /// `GET /api/chemicalapplicationlocations/uploadimageviaurl`
    ImageByUrl,
    /// `POST /api/chemicalapplicationlocations/uploadimageviabytearray`
    ImageByBytes,
}

/// Why a request is no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCall {
    /// Nothing is at that path.
    UnknownPath,
    /// Something is, but not for that method.
    WrongMethod,
}

use Call as C;

/// The page, path by path.
const PAGE: [(&str, Method, Call); 10] = [
    ("/api/account/signin", Method::GET, C::SignIn),
    ("/api/account/get", Method::GET, C::Account),
    ("/api/chemicalapplicationlocations/getall", Method::GET, C::GetAll),
    ("/api/chemicalapplicationlocations/get", Method::GET, C::Get),
    ("/api/chemicalapplicationlocations/create", Method::POST, C::Create),
    ("/api/chemicalapplicationlocations/create", Method::PUT, C::Edit),
    ("/api/chemicalapplicationlocations/createbatch", Method::POST, C::CreateBatch),
    ("/api/chemicalapplicationlocations/delete", Method::GET, C::Delete),
    ("/api/chemicalapplicationlocations/uploadimageviaurl", Method::GET, C::ImageByUrl),
    ("/api/chemicalapplicationlocations/uploadimageviabytearray", Method::POST, C::ImageByBytes),
];

impl Call {
    /// The call that a request is.
    ///
    /// # Errors
    /// [`NoCall`], if the page has no such path, or not for that method.
    pub fn of(method: &Method, path: &str) -> Result<Self, NoCall> {
        let mut at_path = PAGE.iter().filter(|(known, ..)| *known == path).peekable();
        if at_path.peek().is_none() {
            return Err(NoCall::UnknownPath);
        }
        at_path.find(|(_, known, _)| known == method).map(|row| row.2).ok_or(NoCall::WrongMethod)
    }

    /// Whether it only asks.
    pub fn reads(self) -> bool {
        match self {
            C::SignIn | C::Account | C::GetAll | C::Get => true,
            C::Create | C::Edit | C::CreateBatch => false,
            C::Delete | C::ImageByUrl | C::ImageByBytes => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn create_is_two_calls_by_its_method() {
        let path = "/api/chemicalapplicationlocations/create";
        assert_eq!(Call::of(&Method::POST, path), Ok(Call::Create));
        assert_eq!(Call::of(&Method::PUT, path), Ok(Call::Edit));
        assert_eq!(Call::of(&Method::GET, path), Err(NoCall::WrongMethod));
        assert_eq!(Call::of(&Method::GET, "/api/jobs"), Err(NoCall::UnknownPath));
    }
}
