import { parser } from '@prometheus-io/lezer-promql';

interface Matcher {
  readonly label: string;
  readonly operator: string;
  readonly value: string;
}

/** What a PromQL expression asks for. */
interface Expression {
  readonly selectors: ReadonlyArray<{
    readonly metric: string;
    readonly matchers: readonly Matcher[];
  }>;
  /** Labels that it groups or joins by. */
  readonly groupings: readonly string[];
}

/** @throws Error where it is not PromQL */
export function parsePromql(text: string): Expression {
  const selectors: Array<{ metric: string; matchers: Matcher[] }> = [];
  const groupings: string[] = [];
  parser.parse(text).iterate({
    enter: ({ type, node, from, to }) => {
      const own = text.slice(from, to);
      if (type.isError) throw new Error(`Not PromQL at ${from}: ${text}`);
      if (type.name === 'VectorSelector')
        selectors.push({ metric: own.split('{', 1)[0]!.trim(), matchers: [] });
      if (type.name === 'UnquotedLabelMatcher') {
        const part = (name: string) => {
          const child = node.getChild(name)!;
          return text.slice(child.from, child.to);
        };
        selectors.at(-1)!.matchers.push({
          label: part('LabelName'),
          operator: part('MatchOp'),
          value: part('StringLiteral').slice(1, -1),
        });
      }
      if (type.name === 'LabelName' && node.parent?.name === 'GroupingLabels') groupings.push(own);
    },
  });
  return { selectors, groupings };
}
