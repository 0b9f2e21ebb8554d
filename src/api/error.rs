//! Errors → status codes, in one place.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::exit::Exit;
use crate::jobs::Refused;

/// Why a request is not answered as it wants.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    exit: Exit,
    message: String,
}

impl Error {
    /// Nobody does jobs any more.
    pub(super) fn gone() -> Error {
        let message = "the worker has ended: start hearthkeep serve again".to_owned();
        Error { status: StatusCode::SERVICE_UNAVAILABLE, exit: Exit::Failed, message }
    }

    /// There is no such job.
    pub(super) fn no_job(id: &str) -> Error {
        let message = format!("no job {id}: it is over for long, or never was");
        Error { status: StatusCode::NOT_FOUND, exit: Exit::Usage, message }
    }
}

/// What nobody answers.
pub(super) async fn no_route() -> Error {
    let message = "there is nothing here: see /hearthkeep/status".to_owned();
    Error { status: StatusCode::NOT_FOUND, exit: Exit::Usage, message }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        let (status, exit) = match refused {
            Refused::NoJob => (StatusCode::BAD_REQUEST, Exit::Usage),
            Refused::Restore | Refused::Closing => (StatusCode::CONFLICT, Exit::Busy),
        };
        Error { status, exit, message: refused.to_string() }
    }
}

impl From<JsonRejection> for Error {
    fn from(rejection: JsonRejection) -> Error {
        // Of what was sent nothing is repeated: there may be a password in it.
        let message = match rejection {
            JsonRejection::JsonDataError(_) | JsonRejection::JsonSyntaxError(_) => {
                "this is no request for a job: send JSON with words, such as [\"backup\"]"
            }
            JsonRejection::MissingJsonContentType(_) => "send it as application/json",
            _ => "the request cannot be read",
        };
        let (status, exit) = (StatusCode::BAD_REQUEST, Exit::Usage);
        Error { status, exit, message: message.to_owned() }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let object = json!({ "error": self.message, "exit_code": self.exit as u8 });
        (self.status, Json(object)).into_response()
    }
}
