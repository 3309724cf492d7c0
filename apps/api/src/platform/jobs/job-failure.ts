/** What a handler throws when the queue shall not just try again after its usual pause. */
export class JobFailure extends Error {
  override readonly name: string = 'JobFailure';

  constructor(
    message: string,
    /** `never`: the job has failed for good. A time: not before then. */
    readonly retry: 'never' | 'later' | Date,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
