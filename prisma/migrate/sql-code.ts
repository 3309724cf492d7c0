const TEXTS = new RegExp(
  [
    /--[^\n]*/,
    /\/\*[^]*?\*\//,
    /\b[eE]'(?:[^'\\]|\\[^]|'')*'/,
    /'(?:[^']|'')*'/,
    /(?<quoted>"(?:[^"]|"")*")/,
    /\$(?<tag>\w*)\$[^]*?\$\k<tag>\$/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'g',
);

/** SQL without comments, strings and bodies of functions, so that no word in them is taken for a command. */
export function codeOf(sql: string): string {
  return sql.replace(TEXTS, (...found) => {
    const { quoted } = found.at(-1) as { quoted?: string };
    return quoted ?? ' ';
  });
}
