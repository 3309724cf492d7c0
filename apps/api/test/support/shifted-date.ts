/** `Date` with another present; everything else about it is as it was. */
export function shiftedDate(realDate: DateConstructor, offsetMs: () => number): DateConstructor {
  const now = () => realDate.now() + offsetMs();
  return new Proxy(realDate, {
    construct: (target, parameters, newTarget) =>
      Reflect.construct(
        target,
        parameters.length === 0 ? [now()] : parameters,
        newTarget,
      ) as object,
    get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
  });
}
