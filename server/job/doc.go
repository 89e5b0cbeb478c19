// Package job supervises work that goes on without a session: subscriptions. It
// starts them when the server does and when a statement that defines them commits,
// starts them again after errors with a growing pause, and stops them in order.
package job
