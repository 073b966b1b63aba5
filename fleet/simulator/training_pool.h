// Trains several devices side by side, so that a simulation uses more than one core. Each training is on its own from
// start to end, so nobody can tell in which order they ran.
//
// Threads: the pool's own do nothing but train; everything else is the caller's one thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "device/training_task.h"

namespace runnel::fleet {

// Every step of a training that was started.
Failure train_to_the_end(device::TrainingTask& task);

class TrainingPool {
 public:
  explicit TrainingPool(uint32_t threads);
  ~TrainingPool();

  struct Job {
    device::TrainingTask* task;
    bool taken = false;
    bool done = false;
    Failure outcome = Error::kOk;
  };

  // The task must outlive the job: wait() or cancel() comes first.
  std::shared_ptr<Job> start(device::TrainingTask& task);
  // Trains it here if nobody has begun with it.
  Failure wait(Job& job);
  // Not to be trained, or waits until it is.
  void cancel(Job& job);

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace runnel::fleet
