#include "coordinator/engine/store_request.h"

namespace runnel::coordinator {

Failure carry_out(StoreRequest& request, Store& store, int64_t unix_seconds) {
  if (auto* open = std::get_if<OpenRound>(&request)) {
    open->round.opened_at = unix_seconds;
    return store.open_round(open->round);
  }
  if (auto* extension = std::get_if<ExtendRound>(&request)) {
    return store.extend_round(extension->round, extension->selected);
  }
  if (auto* accepted = std::get_if<AcceptUpdates>(&request)) {
    for (UpdateRecord& update : accepted->updates) update.accepted_at = unix_seconds;
    return store.accept_updates(accepted->updates);
  }
  if (auto* uploads = std::get_if<SaveUploads>(&request)) {
    for (UploadPart& part : uploads->parts) part.saved_at = unix_seconds;
    return store.save_uploads(uploads->parts, uploads->forgotten);
  }
  RoundResult& result = std::get<CloseRound>(request).result;
  result.closed_at = unix_seconds;
  return store.close_round(result);
}

}  // namespace runnel::coordinator
