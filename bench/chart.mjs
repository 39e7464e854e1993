import { contenders } from './contenders.mjs';

const width = 760;
const left = 290;
const barHeight = 18;
const gap = 7;
const colours = { api: '#1f6f8b', bulk: '#1f6f8b', user: '#1f6f8b', ceiling: '#9aa5ad' };
const other = '#d08c60';

/** Draws what was delivered per second at 64 connections, as an SVG. */
export function drawChart(results) {
  const most = Math.max(
    ...results.flatMap(({ points }) => rowsOf(points).map(({ perSecond }) => perSecond?.max ?? 0)),
  );
  let y = 52;
  const parts = [];
  for (const { kind, points } of results) {
    parts.push(
      `<text x="12" y="${y}" class="head">${kind === 'prosody' ? 'Prosody' : kind}</text>`,
    );
    y += 12;
    for (const point of rowsOf(points)) {
      parts.push(drawBar(point, y, most));
      y += barHeight + gap;
    }
    y += 22;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img" aria-label="Messages delivered per second">
<style>text{font:13px sans-serif;fill:#222}.head{font-weight:bold;font-size:14px}.note{fill:#666;font-size:12px}</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="24" class="head">Messages of 100 bytes delivered per second: on 64 connections, or in one request</text>
${parts.join('\n')}
</svg>
`;
}

function rowsOf(points) {
  return points.filter(({ connections, bytes }) => connections === 64 && bytes === 100);
}

function valueOf({ perSecond }) {
  return perSecond?.median ?? 0;
}

function drawBar(point, y, most) {
  const scale = (width - left - 170) / most;
  const value = valueOf(point);
  const { min = 0, max = 0 } = point.perSecond ?? {};
  const middle = y + barHeight / 2;
  const end = left + max * scale;
  const title = contenders[point.name].title.replaceAll("'", '’');
  return `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${title}</text>
<rect x="${left}" y="${y}" width="${(value * scale).toFixed(1)}" height="${barHeight}" fill="${colours[point.name] ?? other}"/>
<path d="M${(left + min * scale).toFixed(1)} ${middle}H${end.toFixed(1)}" stroke="#222"/>
<text x="${(end + 8).toFixed(1)}" y="${middle + 4}">${Math.round(value)} <tspan class="note">(${Math.round(min)}–${Math.round(max)})</tspan></text>`;
}
