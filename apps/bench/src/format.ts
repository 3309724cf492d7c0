/** `1 row`, `1,000 rows` */
export const counted = (count: number, thing: string) =>
  `${count.toLocaleString('en')} ${thing}${count === 1 ? '' : 's'}`;

/** Three digits, without an exponent. */
export function figure(value: number): string {
  return value >= 1000
    ? Math.round(value).toLocaleString('en')
    : String(Number(value.toPrecision(3)));
}

export const times = (ratio: number) => `×${figure(ratio)}`;
