import { CustomChart, LineChart } from "echarts/charts";
import { GridComponent } from "echarts/components";
import { init, use, type EChartsCoreOption, type EChartsType } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { useEffect, useLayoutEffect, useRef } from "react";

use([CustomChart, LineChart, GridComponent, CanvasRenderer]);

interface Props {
  option: EChartsCoreOption;
  height: number;
  label: string;
}

/**
 * EChart keeps one chart alive and only changes its option: nothing flickers while data flow. What a canvas cannot say
 * to a screen reader is in `label` and in the elements beside it.
 */
export default function EChart({ option, height, label }: Props) {
  const element = useRef<HTMLDivElement>(null);
  const chart = useRef<EChartsType>(null);

  useEffect(() => {
    if (!element.current) return;
    const c = init(element.current, null, { renderer: "canvas" });
    chart.current = c;
    const observer = new ResizeObserver(() => c.resize());
    observer.observe(element.current);
    return () => {
      observer.disconnect();
      chart.current = null;
      c.dispose();
    };
  }, []);

  useLayoutEffect(() => {
    chart.current?.resize();
  }, [height]);

  useEffect(() => {
    chart.current?.setOption(
      { animation: false, ...option },
      { replaceMerge: ["series", "grid", "xAxis", "yAxis"], silent: true },
    );
  }, [option]);

  return <div ref={element} className="chart" style={{ height }} role="img" aria-label={label} />;
}
