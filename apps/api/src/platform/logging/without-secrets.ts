const MAX_LENGTH = 500;

/** What an error of a mail server or provider may quote: addresses, tokens, queries of links. */
const secrets: ReadonlyArray<readonly [RegExp, string]> = [
  [/[^\s@<>"'`(),;:=]+@[^\s@<>"'`(),;:]+/g, '<address>'],
  [/([?&#][\w.-]+=)[^\s&#"'<>]+/g, '$1<value>'],
  [/\b(Bearer|Basic) +\S+/gi, '$1 <value>'],
  [/\b(?:re|sk|pk)_\w+/g, '<key>'],
  // Longer than a UUID, which is welcome.
  [/[\w+-]{40,}={0,2}/g, '<value>'],
];

/** Text for people, of bounded length. */
export function hideSecrets(text: string): string {
  const hidden = secrets.reduce((rest, [pattern, name]) => rest.replaceAll(pattern, name), text);
  return hidden.length > MAX_LENGTH ? `${hidden.slice(0, MAX_LENGTH)}…` : hidden;
}

/** The same error in words that may stand in a log and in the queue's table. */
export function withoutSecrets(thrown: unknown): Error {
  const { name, message, stack } = thrown instanceof Error ? thrown : new Error(String(thrown));
  const error = new Error(hideSecrets(message) || name);
  const calls = stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  error.name = name;
  error.stack = [`${name}: ${error.message}`, ...calls].join('\n');
  return error;
}
