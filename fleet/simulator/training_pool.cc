#include "fleet/simulator/training_pool.h"

namespace runnel::fleet {

Failure train_to_the_end(device::TrainingTask& task) {
  for (;;) {
    const Result<bool> done = task.step();
    if (!done) return done.failure();
    if (*done) return Error::kOk;
  }
}

TrainingPool::TrainingPool(uint32_t threads) {
  for (uint32_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

TrainingPool::~TrainingPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void TrainingPool::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    const std::shared_ptr<Job> job = std::move(waiting_.front());
    waiting_.pop_front();
    if (job->taken) continue;
    job->taken = true;
    lock.unlock();
    Failure outcome = train_to_the_end(*job->task);
    lock.lock();
    job->outcome = outcome;
    job->done = true;
    changed_.notify_all();
  }
}

std::shared_ptr<TrainingPool::Job> TrainingPool::start(device::TrainingTask& task) {
  auto job = std::make_shared<Job>();
  job->task = &task;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(job);
  }
  changed_.notify_all();
  return job;
}

Failure TrainingPool::wait(Job& job) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!job.taken) {
    job.taken = job.done = true;
    lock.unlock();
    return train_to_the_end(*job.task);
  }
  changed_.wait(lock, [&job] { return job.done; });
  return job.outcome;
}

void TrainingPool::cancel(Job& job) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!job.taken) {
    job.taken = job.done = true;
    return;
  }
  changed_.wait(lock, [&job] { return job.done; });
}

}  // namespace runnel::fleet
